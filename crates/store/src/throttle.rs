//! What is done when a remote store asks to slow down (429 or 503): wait for as long as it says, or a while that doubles, and ask
//! again.
//!
//! Stores throttle in streaks that last minutes, so what counts is time and not tries: a streak begins with the first such answer and
//! ends with one of another kind, all requests of a store share it, and once it has lasted longer than the patience every
//! request is given the answer at once. What else can go wrong is left to the client, which tries a few times: an endpoint that is
//! not there must not take minutes to be called so.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};
use object_store::{ClientOptions, Result};

/// The shortest wait, and the longest that is not asked for.
const WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// How often a wait is logged.
const LOGGED_EVERY: Duration = Duration::from_secs(10);

/// Makes clients of one store that wait when it asks to.
#[derive(Clone)]
pub(crate) struct Patient {
    patience: Duration,
    /// Another number for each process, so that those that were throttled together do not come again together.
    spread: u64,
    streak: Arc<Mutex<Streak>>,
    url: Arc<str>,
}

#[derive(Default)]
struct Streak {
    began: Option<Instant>,
    logged: Option<Instant>,
}

impl Patient {
    pub(crate) fn new(url: &str, patience: Duration, spread: u64) -> Patient {
        Patient { patience, spread, streak: Arc::default(), url: url.into() }
    }

    /// How long to wait before asking again; `None` where that was long enough. `status` is what the store answered.
    fn wait(&self, status: u16, asked: Option<Duration>, attempt: u32, what: &str) -> Option<Duration> {
        let mut streak = self.streak.lock().unwrap_or_else(PoisonError::into_inner);
        let lasted = streak.began.get_or_insert_with(Instant::now).elapsed();
        let pause = pause(attempt, asked, spread(self.spread, what, attempt));
        if lasted + pause > self.patience {
            return None;
        }
        // Once a wait is worth a word. Many requests wait at once: one of them speaks for all.
        let is_long = lasted + pause >= Duration::from_secs(1);
        if is_long && streak.logged.is_none_or(|logged| logged.elapsed() >= LOGGED_EVERY) {
            streak.logged = Some(Instant::now());
            let (url, seconds) = (&self.url, pause.as_secs_f64());
            tracing::warn!("{url}: the store asks to slow down ({status}): asked again in {seconds:.1} s");
        }
        Some(pause)
    }

    fn went_on(&self) {
        *self.streak.lock().unwrap_or_else(PoisonError::into_inner) = Streak::default();
    }
}

/// A wait: what the store asks for and up to a half more, or else a while that doubles with each attempt, of which up to a half is
/// left out. `spread` is a share of 2^32.
fn pause(attempt: u32, asked: Option<Duration>, spread: u32) -> Duration {
    let share = f64::from(spread) / f64::from(u32::MAX) / 2.0;
    match asked {
        Some(asked) => asked.mul_f64(1.0 + share),
        None => WAITS.0.saturating_mul(1 << attempt.min(16)).min(WAITS.1).mul_f64(1.0 - share),
    }
}

fn spread(seed: u64, what: &str, attempt: u32) -> u32 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes()).update(&attempt.to_le_bytes()).update(what.as_bytes());
    let hash = hasher.finalize();
    u32::from_le_bytes([hash.as_bytes()[0], hash.as_bytes()[1], hash.as_bytes()[2], hash.as_bytes()[3]])
}

/// What `Retry-After` says in seconds, up to an hour; dates, which stores do not send, are passed over.
fn retry_after(text: &str) -> Option<Duration> {
    text.trim().parse::<u64>().ok().map(|seconds| Duration::from_secs(seconds.min(3600)))
}

impl fmt::Debug for Patient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patient").field("url", &self.url).field("patience", &self.patience).finish_non_exhaustive()
    }
}

impl HttpConnector for Patient {
    fn connect(&self, options: &ClientOptions) -> Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Throttled { client, patient: self.clone() }))
    }
}

#[derive(Debug)]
struct Throttled {
    client: HttpClient,
    patient: Patient,
}

#[async_trait]
impl HttpService for Throttled {
    async fn call(&self, request: HttpRequest) -> std::result::Result<HttpResponse, HttpError> {
        let mut attempt = 0;
        loop {
            let answer = self.client.execute(request.clone()).await?;
            let status = answer.status().as_u16();
            if !matches!(status, 429 | 503) {
                self.patient.went_on();
                return Ok(answer);
            }
            let asked = answer.headers().get("retry-after").and_then(|value| retry_after(value.to_str().ok()?));
            let what = request.uri().path();
            let Some(pause) = self.patient.wait(status, asked, attempt, what) else { return Ok(answer) };
            // What it says besides is of no use, and the connection is free again.
            drop(answer);
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_ten_seconds_and_are_spread() {
        let seconds = |attempt, spread| pause(attempt, None, spread).as_secs_f64();
        assert_eq!([0, 1, 6, 7, 40].map(|attempt| seconds(attempt, 0)), [0.1, 0.2, 6.4, 10.0, 10.0]);
        assert_eq!([0, 7].map(|attempt| seconds(attempt, u32::MAX)), [0.05, 5.0]);
        let asked = |spread| pause(9, Some(Duration::from_secs(4)), spread).as_secs_f64();
        assert_eq!([asked(0), asked(u32::MAX)], [4.0, 6.0], "not before it was asked to");
        let all: std::collections::BTreeSet<u32> =
            (0..4).flat_map(|seed| ["a", "b"].map(|what| spread(seed, what, 0))).collect();
        assert_eq!(all.len(), 8, "processes and requests are spread");
        assert_ne!(spread(1, "a", 0), spread(1, "a", 1));
    }

    #[test]
    fn retry_after_is_a_number_of_seconds() {
        assert_eq!(retry_after(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("99999999999"), Some(Duration::from_secs(3600)));
        assert!(["", "-1", "1.5", "Fri, 31 Dec 1999 23:59:59 GMT"].into_iter().all(|text| retry_after(text).is_none()));
    }

    /// A streak is shared, is over with another answer, and what is asked for beyond the patience is not waited for.
    #[test]
    fn a_streak_ends_by_time_or_by_an_answer() {
        let patient = Patient::new("s3://x", Duration::from_secs(100), 0);
        let asked = |seconds| patient.wait(503, Some(Duration::from_secs(seconds)), 0, "a").is_some();
        assert!(asked(50) && !asked(100), "up to a half more is added");
        patient.streak.lock().unwrap().began = Instant::now().checked_sub(Duration::from_secs(90));
        assert!(!asked(10) && asked(1));
        patient.went_on();
        assert!(asked(50));
        assert!(Patient::new("s3://x", Duration::ZERO, 0).wait(503, None, 0, "a").is_none());
    }
}
