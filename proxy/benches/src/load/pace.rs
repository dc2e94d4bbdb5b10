//! When requests are due, and waiting for it to the microsecond: the timers of tokio count milliseconds.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;

/// When request `index` of a constant rate is due after the start.
pub fn due_after(index: u64, rate: f64) -> Duration {
    #[expect(clippy::cast_precision_loss, reason = "request numbers stay below 2^53")]
    let seconds = index as f64 / rate;
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// A timer of the kernel.
pub struct Alarm {
    timer: AsyncFd<OwnedFd>,
}

impl Alarm {
    /// Makes one; to be called within the runtime.
    pub fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe, for types that may swap their descriptor; ours owns one"
        )]
        let timer = AsyncFd::new(timer)?;
        Ok(Self { timer })
    }

    /// Waits until `due`.
    pub async fn wait_until(&self, due: Instant) -> io::Result<()> {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        let once = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            },
        };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::empty(), &once)?;
        let mut rung = self.timer.readable().await?;
        let mut count = [0; 8];
        rustix::io::read(self.timer.get_ref(), &mut count)?;
        rung.clear_ready();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_at_even_distances() {
        assert_eq!(due_after(0, 2000.0), Duration::ZERO);
        assert_eq!(due_after(1, 2000.0), Duration::from_micros(500));
        assert_eq!(due_after(4000, 2000.0), Duration::from_secs(2));
    }
}
