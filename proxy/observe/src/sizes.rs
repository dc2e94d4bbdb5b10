//! Sizes of the frames of a body, gathered where no handle is at hand.

use crate::family::{FRAME_SIZE_BOUNDS, FRAME_SIZE_BUCKETS};

/// How many frames of which size there were. A frame is what was read and passed on at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sizes {
    counts: [u32; FRAME_SIZE_BUCKETS],
    bytes: u64,
}

impl Sizes {
    /// Of no frame.
    pub const NONE: Self = Self { counts: [0; FRAME_SIZE_BUCKETS], bytes: 0 };

    /// One more frame.
    pub fn add(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        self.bytes = self.bytes.saturating_add(bytes);
        let bucket = FRAME_SIZE_BOUNDS.iter().take_while(|bound| **bound < bytes).count();
        if let Some(count) = self.counts.get_mut(bucket) {
            *count = count.saturating_add(1);
        }
    }

    /// All of them together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Frames of each bucket, `+Inf` last.
    pub(crate) fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// Whether there was no frame with a byte in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }
}

#[cfg(test)]
mod tests {
    use crate::families::frames::INBOUND_HTTP_REQUEST_FRAME_SIZE_BYTES as FAMILY;
    use crate::{Labels, Registry, Sizes};

    #[test]
    fn frames_are_counted_by_linkerds_bounds_and_shown_in_bytes() {
        let mut sizes = Sizes::default();
        for bytes in [1, 128, 129, 1_024, 10_241, 70_000] {
            sizes.add(bytes);
        }
        let registry = Registry::default();
        let histogram = registry.histogram(&FAMILY, Labels::new());
        histogram.gather(&sizes);
        histogram.gather(&Sizes::default());
        let text = registry.render();
        let name = "inbound_http_request_frame_size_bytes";
        for (line, value) in [
            ("_bucket{le=\"128\"}", 2),
            ("_bucket{le=\"1024\"}", 4),
            ("_bucket{le=\"10240\"}", 4),
            ("_bucket{le=\"+Inf\"}", 6),
            ("_sum", 81_523),
            ("_count", 6),
        ] {
            assert!(text.lines().any(|one| one == format!("{name}{line} {value}")), "{line}\n{text}");
        }
    }
}
