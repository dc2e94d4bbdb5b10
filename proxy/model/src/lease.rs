//! The certificate this proxy holds, and when to ask for the next one.

use std::time::{Duration, Instant, SystemTime};

use crate::outbound::Backoff;
use crate::random::Random;

/// Share of a certificate's life after which its successor is fetched.
pub const RENEW_AFTER: f64 = 0.7;

/// Share of the life by which renewals are spread to either side, so that a fleet that started together does
/// not renew together.
pub const RENEW_SPREAD: f64 = 0.05;

/// Pauses after refusals. The longest is short against an hour of life, and long for a CA that is restarting.
pub const REFUSED: Backoff = Backoff {
    min: Duration::from_secs(1),
    max: Duration::from_secs(30),
    jitter_ratio: 0.5,
    honour_retry_after: false,
};

/// A clock that shows this much less than when the certificate was issued was set back. Others would take the
/// certificate for one that is not valid yet.
pub const SET_BACK: Duration = Duration::from_secs(60);

/// A moment on both clocks: lives are counted on the one that never jumps; the other notices that the machine
/// slept or that its clock was set.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Monotonic.
    pub instant: Instant,
    /// Of the day.
    pub wall: SystemTime,
}

/// A certificate and the time it lives. `C` is what the edge serves with.
#[derive(Clone, Debug, PartialEq)]
pub struct Certificate<C> {
    /// Key and chain.
    pub material: C,
    not_after: SystemTime,
    issued_wall: SystemTime,
    renew_wall: SystemTime,
    renew_at: Instant,
    ends_at: Instant,
}

impl<C> Certificate<C> {
    /// A certificate that was issued just now and is valid until `not_after`. `None`: it is over already, by a
    /// clock that is wrong here or at the issuer, and must be treated as a refusal.
    pub fn issued(material: C, not_after: SystemTime, now: Moment, random: &mut Random) -> Option<Self> {
        let life = not_after.duration_since(now.wall).ok().filter(|life| !life.is_zero())?;
        let share = RENEW_AFTER + RENEW_SPREAD * (2.0 * random.unit() - 1.0);
        let renew = life.mul_f64(share);
        Some(Self {
            material,
            not_after,
            issued_wall: now.wall,
            renew_wall: now.wall.checked_add(renew)?,
            renew_at: now.instant.checked_add(renew)?,
            ends_at: now.instant.checked_add(life)?,
        })
    }

    /// The same certificate, renewed no sooner than `min` and no later than `max` from now
    /// (`IDENTITY_MIN_REFRESH`, `IDENTITY_MAX_REFRESH`), and in any case before nine tenths of its life.
    #[must_use]
    pub fn renewed_within(mut self, min: Duration, max: Duration, now: Moment) -> Self {
        let latest = self.ends_at.saturating_duration_since(now.instant).mul_f64(0.9);
        let asked = self.renew_at.saturating_duration_since(now.instant).min(max).max(min).min(latest);
        self.renew_at = now.instant + asked;
        self.renew_wall = now.wall + asked;
        self
    }

    /// When its successor is to be fetched.
    pub const fn renew_at(&self) -> Instant {
        self.renew_at
    }

    /// Its end, for `identity_cert_expiration_timestamp_seconds`.
    pub const fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// By either clock: after a sleep the monotonic one is behind. And when the clock of the day was set back.
    fn is_due(&self, now: Moment) -> bool {
        let set_back = self.issued_wall.duration_since(now.wall).is_ok_and(|by| by > SET_BACK);
        self.renew_at <= now.instant || self.renew_wall <= now.wall || set_back
    }
}

/// The lease. Never waits or dials: the caller runs each [`Fetch`] and reports back exactly one
/// [`Event::Issued`] or [`Event::Refused`] for it; a timeout is a refusal.
#[derive(Clone, Debug, PartialEq)]
pub enum Lease<C> {
    /// No certificate yet; one is being fetched.
    Vacant {
        /// In a row.
        refusals: u32,
    },
    /// Serving; nothing to do until its renewal.
    Valid {
        /// Served with.
        cert: Certificate<C>,
    },
    /// Still serving `cert` while its successor is fetched.
    Renewing {
        /// Served with.
        cert: Certificate<C>,
        /// In a row.
        refusals: u32,
    },
}

/// Ask the identity service after this pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Zero: now.
    pub after: Duration,
}

/// What happens to a lease.
#[derive(Clone, Debug)]
pub enum Event<C> {
    /// Time has passed: when [`Lease::wakes_at`] has come, and at least once a minute for the clock of the day.
    Tick(Moment),
    /// The fetch brought a certificate.
    Issued(Certificate<C>),
    /// The fetch failed, timed out, or brought a certificate that cannot be used.
    Refused,
}

impl<C> Lease<C> {
    /// A lease without a certificate, and the fetch of its first.
    pub fn begin() -> (Self, Fetch) {
        (Self::Vacant { refusals: 0 }, Fetch { after: Duration::ZERO })
    }

    /// The certificate to serve with, if there is one and it has not ended.
    pub fn usable(&self, now: Instant) -> Option<&Certificate<C>> {
        match self {
            Self::Vacant { .. } => None,
            Self::Valid { cert } | Self::Renewing { cert, .. } => (now < cert.ends_at).then_some(cert),
        }
    }

    /// The certificate, whether or not it has ended.
    pub const fn held(&self) -> Option<&Certificate<C>> {
        match self {
            Self::Vacant { .. } => None,
            Self::Valid { cert } | Self::Renewing { cert, .. } => Some(cert),
        }
    }

    /// Serves the same certificate with other material.
    pub fn swap(&mut self, material: C) {
        match self {
            Self::Vacant { .. } => {}
            Self::Valid { cert } | Self::Renewing { cert, .. } => cert.material = material,
        }
    }

    /// Renews within `within` from now, if that is sooner than it was to be.
    pub fn expedite(&mut self, within: Duration, now: Moment) {
        match self {
            Self::Vacant { .. } | Self::Renewing { .. } => {}
            Self::Valid { cert } => {
                cert.renew_at = cert.renew_at.min(now.instant + within);
                cert.renew_wall = cert.renew_wall.min(now.wall + within);
            }
        }
    }

    /// When to send the next [`Event::Tick`] at the latest.
    pub const fn wakes_at(&self) -> Option<Instant> {
        match self {
            Self::Valid { cert } => Some(cert.renew_at),
            Self::Vacant { .. } | Self::Renewing { .. } => None,
        }
    }

    /// The lease after an event, and the fetch that it asks for.
    #[must_use]
    pub fn on(self, event: Event<C>, random: &mut Random) -> (Self, Option<Fetch>) {
        match (self, event) {
            (_, Event::Issued(cert)) => (Self::Valid { cert }, None),
            (Self::Valid { cert }, Event::Tick(now)) if cert.is_due(now) => {
                (Self::Renewing { cert, refusals: 0 }, Some(Fetch { after: Duration::ZERO }))
            }
            (Self::Vacant { refusals }, Event::Refused) => {
                let refusals = refusals.saturating_add(1);
                (Self::Vacant { refusals }, Some(Fetch { after: REFUSED.pause(refusals, random) }))
            }
            (Self::Renewing { cert, refusals }, Event::Refused) => {
                let refusals = refusals.saturating_add(1);
                (Self::Renewing { cert, refusals }, Some(Fetch { after: REFUSED.pause(refusals, random) }))
            }
            // Nothing is due, or a refusal arrived for a fetch that a newer certificate overtook.
            (state @ Self::Valid { .. }, Event::Tick(_) | Event::Refused)
            | (state @ (Self::Vacant { .. } | Self::Renewing { .. }), Event::Tick(_)) => (state, None),
        }
    }
}
