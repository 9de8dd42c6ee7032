//! The bugs: where each is planted, and what is to find it.

/// A bug.
pub(crate) struct Bug {
    /// What it is.
    pub(crate) name: &'static str,
    /// The file, from the workspace's root.
    pub(crate) file: &'static str,
    /// What stands there, once.
    pub(crate) right: &'static str,
    /// What is put in its place.
    pub(crate) wrong: &'static str,
    /// What `cargo test` is given.
    pub(crate) tests: &'static [&'static str],
}

const CLIENT: &[&str] = &["-p", "sordino-client", "--lib"];
const SHARED: &[&str] = &["-p", "sordino-shared", "--lib"];

/// All of them.
pub(crate) const BUGS: &[Bug] = &[
    Bug {
        name: "a vector that rounding leaves too long is sent",
        file: "shared/src/privacy/encode.rs",
        right: "    values.fill(0);\n    values\n",
        wrong: "    values\n",
        tests: SHARED,
    },
    Bug {
        name: "the samplers' distance of earlier releases is forgotten",
        file: "shared/src/privacy/ledger/history.rs",
        right: "self.spends().map(|s| s.distance).sum::<f64>() + spend.distance",
        wrong: "spend.distance",
        tests: SHARED,
    },
    Bug {
        name: "the samplers' distance is that of one device",
        file: "shared/src/privacy/noise/mod.rs",
        right: "        one * devices as f64\n",
        wrong: "        one * devices.min(1) as f64\n",
        tests: SHARED,
    },
    Bug {
        name: "one survivor too few is enough above ten colluders",
        file: "shared/src/secagg/terms.rs",
        right: "plan.honest() as u64 + u64::from(colluders);",
        wrong: "plan.honest() as u64 + u64::from(colluders) - u64::from(colluders > 10);",
        tests: SHARED,
    },
    Bug {
        name: "one device in a hundred more counts as honest",
        file: "shared/src/plan/mod.rs",
        right: "(request.cohort as f64 * request.honest_fraction).floor() as usize",
        wrong: "((request.cohort as f64 * request.honest_fraction * 1.01).floor() as usize).min(request.cohort)",
        tests: SHARED,
    },
    Bug {
        name: "a round has a graph for each of its terms",
        file: "shared/src/secagg/terms.rs",
        right: "Transcript::new(\"round\").add(self.task.as_bytes()).add(&self.round.to_le_bytes()).hash()",
        wrong: "self.context()",
        tests: SHARED,
    },
    Bug {
        name: "a new root need not be signed by its own keys",
        file: "shared/src/registry/trusted.rs",
        right: "        read::<Root>(bytes, Role::Root, &of, keys)?;\n",
        wrong: "        let _ = (of, keys);\n",
        tests: SHARED,
    },
    Bug {
        name: "a receipt for another vector is taken",
        file: "client/src/part.rs",
        right: "if receipt != (Receipt { context: self.context, digest }) {",
        wrong: "if receipt.context != self.context || digest == [0; 32] {",
        tests: CLIENT,
    },
    Bug {
        name: "the vector is made before it is paid for",
        file: "client/src/participation.rs",
        right: "        ledger.spend(self.spend(&samplers, at))?;\n        Ok(take_part(workload, self.plan, &samplers, device, &mut randomness))\n",
        wrong: "        let made = take_part(workload, self.plan, &samplers, device, &mut randomness);\n        ledger.spend(self.spend(&samplers, at))?;\n        Ok(made)\n",
        tests: CLIENT,
    },
    Bug {
        name: "what is erased takes the registry along",
        file: "client/src/device/mod.rs",
        right: "LAST_TRAINING, VERSIONS, REGISTRY, TIMES];",
        wrong: "LAST_TRAINING, VERSIONS, TIMES, TIMES];",
        tests: CLIENT,
    },
    Bug {
        name: "a machine's events train",
        file: "client/src/device/mod.rs",
        right: "if let Some((rule, _)) = BotVerdict::of(&valid).broken.first() {",
        wrong: "if let Some((rule, _)) = BotVerdict::of(&valid).broken.first().filter(|_| tracks == usize::MAX) {",
        tests: CLIENT,
    },
    Bug {
        name: "a machine is what the catalogue shows of it",
        file: "client/src/device/mod.rs",
        right: "let checks = Checks { tracks: usize::MAX, now",
        wrong: "let checks = Checks { tracks, now",
        tests: CLIENT,
    },
    Bug {
        name: "a vector leaves as soon as it is made",
        file: "client/src/part.rs",
        right: "return Ok(match rest_of_step(device.now().saturating_sub(start), device.steady_ms()) {",
        wrong: "return Ok(match rest_of_step(device.now().saturating_sub(start), 0) {",
        tests: &["-p", "sordino-tests", "--test", "neighbours"],
    },
    Bug {
        name: "a device that has trained trains again at once",
        file: "client/src/quic/device.rs",
        right: "trains: takes_part && !rests,",
        wrong: "trains: takes_part,",
        tests: &["-p", "sordino-tests", "--test", "device"],
    },
    Bug {
        name: "a device that cannot pay joins the roster",
        file: "client/src/part.rs",
        right: "        device.would_pay(&round)?;\n",
        wrong: "",
        tests: &["-p", "sordino-tests", "--test", "device"],
    },
];
