use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

type Made = Pin<Box<dyn Future<Output = String> + Send>>;

/// What `GET /metrics` answers: OpenMetrics text, made anew for each request. Whoever offers the service knows what there
/// is to be counted; the service does not.
///
/// ```
/// use tapsock::services::http::Metrics;
/// let metrics = Metrics::new(|| async { "# EOF\n".to_owned() });
/// # let _ = metrics;
/// ```
#[derive(Clone)]
pub struct Metrics {
    make: Arc<dyn Fn() -> Made + Send + Sync>,
}

impl Metrics {
    /// Asks `make` each time.
    pub fn new<F>(make: impl Fn() -> F + Send + Sync + 'static) -> Metrics
    where
        F: Future<Output = String> + Send + 'static,
    {
        Metrics { make: Arc::new(move || Box::pin(make())) }
    }

    pub(super) async fn text(&self) -> String {
        (self.make)().await
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
