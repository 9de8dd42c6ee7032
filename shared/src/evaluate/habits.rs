//! Whether a listener comes back: proxies of satisfaction that need nobody's opinion.

/// What one device sees of its own listener's habits. `None` where it has seen too little to say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Habits {
    /// For each of [`RETURN_DAYS`], the share of its sessions after which another one began within so many days. Only sessions
    /// whose days were over count: those near the end would look like leaving.
    pub returned: [Option<f32>; 3],
    /// Mean number of tracks in a session.
    pub session_tracks: Option<f32>,
    /// Share of the first three tracks of its sessions that were skipped.
    pub early_skips: Option<f32>,
}

impl Habits {
    /// All of them, in the order of their fields.
    pub fn values(&self) -> [Option<f32>; HABITS] {
        let [day, three, week] = self.returned;
        [day, three, week, self.session_tracks, self.early_skips]
    }
}

/// How many habits there are.
pub const HABITS: usize = 5;
/// Within how many days a return counts.
pub const RETURN_DAYS: [u32; 3] = [1, 3, 7];
