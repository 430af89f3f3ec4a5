/// What a call on a socket would find at this moment (`poll(2)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Readiness {
    /// Reading gives something, the end of the stream or an error at once (POLLIN).
    pub readable: bool,
    /// Writing takes something, or fails, at once (POLLOUT).
    pub writable: bool,
    /// Both directions are over (POLLHUP).
    pub hang_up: bool,
    /// An error waits to be told (POLLERR).
    pub error: bool,
}

/// What somebody waits for. Ends and errors are told to everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// That it can be read.
    Readable,
    /// That it can be written.
    Writable,
    /// That either can be done.
    Either,
}

impl Interest {
    /// Whether somebody with this interest is to be told of this.
    pub fn is_met(self, readiness: Readiness) -> bool {
        let wanted = match self {
            Interest::Readable => readiness.readable,
            Interest::Writable => readiness.writable,
            Interest::Either => readiness.readable || readiness.writable,
        };
        wanted || readiness.hang_up || readiness.error
    }
}
