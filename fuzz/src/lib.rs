//! Hostile traffic for a whole [`Stack`](tapsock::stack::Stack), and what must hold whatever comes.
//!
//! | file | job |
//! |---|---|
//! | `craft` | frames by hand, and their repair |
//! | `oracle` | what must hold for each frame that leaves |
//! | `show` | the trace of a run, for a person |
//! | `world` | a stack with sockets in every state, its programs, its peers; what must hold for streams and for time |
//! | `frames` | the target of raw frames |
//! | `structured` | the target of actions that reach deep |

pub mod craft;
pub mod frames;
pub mod oracle;
pub mod show;
pub mod structured;
pub mod world;
