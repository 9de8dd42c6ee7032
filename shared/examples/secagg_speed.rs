//! What a masked round costs a device and the coordinator, every message as a frame.
//!
//! `cargo run --release -p sordino-shared --example secagg_speed -- [DEVICES] [VALUES] [BITS]`
//!
//! Devices run two at a time, each measured by the processor time of its thread. The coordinator's work is done twice on
//! the same messages, on one thread and on two.

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use rayon::prelude::*;
use sordino_shared::plan::{BlockLayout, PlanRequest, RoundPlan};
use sordino_shared::privacy::{Clipped, Noised, Rounded, Samplers, Sum};
use sordino_shared::secagg::coordinator::{Advertising, Agreeing, Checked, Sharing, Unmasking, Uploading};
use sordino_shared::secagg::device::{self, Advertised, Agreed, Joining, Member, Policy, Shared, Uploaded};
use sordino_shared::secagg::messages::{
    Advertisement, Agreement, Answer, Delivery, Quorum, ReceivedUpload, Roster, Shares, Survivors,
};
use sordino_shared::secagg::{Assumptions, Authority, Certificate, Identity, MaskedSum, Terms};
use sordino_shared::workload::{Block, Statistics};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::{Duration, Instant};

fn main() {
    let arguments: Vec<usize> = std::env::args().skip(1).map(|a| a.parse().expect("a whole number")).collect();
    let devices = arguments.first().copied().unwrap_or(1000);
    let values = arguments.get(1).copied().unwrap_or(118_592);
    let bits = arguments.get(2).copied().unwrap_or(32) as u32;
    let plan = plan(devices, values, bits);
    let terms = Terms::new("speed", 1, &plan, [0; 32], Assumptions::default()).expect("good terms");
    let degree = terms.assumptions().degree(devices as u32).expect("a graph");
    println!(
        "n = {devices}, k = {}, t = {}, d = {values}, b = {}, at least {} survivors",
        degree.neighbours,
        degree.threshold,
        plan.bits(),
        terms.min_survivors()
    );
    let pools = [1, 2].map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads"));
    run(&World::new(devices, plan, terms), &pools);
}

struct World {
    plan: RoundPlan,
    terms: Terms,
    policy: Policy,
    authority: std::sync::Mutex<Authority>,
    operator: Identity,
    identities: Vec<Identity>,
    certificates: Vec<Certificate>,
    vector: Noised,
}

/// Processor time of the devices, by step, and bytes sent and received by the first of them.
#[derive(Default)]
struct Devices {
    steps: Vec<(&'static str, Duration)>,
    sent: usize,
    received: usize,
}

/// Time of the coordinator on one thread and on two, by step: processor and wall.
#[derive(Default)]
struct Coordinator {
    steps: Vec<(&'static str, [(Duration, Duration); 2])>,
}

fn run(world: &World, pools: &[rayon::ThreadPool; 2]) {
    let n = world.identities.len();
    let dropped = n / 10;
    let stays = |device: usize| device % 10 != 3 || device / 10 >= dropped;
    let (mut devices, mut coordinator) = (Devices::default(), Coordinator::default());
    let context = world.terms.context();
    let neighbours = world.terms.assumptions().degree(n as u32).expect("a graph").neighbours;

    let offer = world.terms.offer(&world.operator).to_frame();
    let advertised: Vec<(Advertised, Vec<u8>)> = devices.step("advertise", pools, 0..n, |device| {
        let offer = sordino_shared::secagg::messages::Offer::from_frame(&offer).expect("an offer");
        let member = world.member(device);
        let made = device::advertise(
            Joining { offer: &offer, plan: &world.plan, model: [0; 32], policy: &world.policy, member },
            0,
            &mut rng(1, device),
        );
        let (state, advertisement) = made.expect("good terms");
        (state, advertisement.to_frame(&context))
    });
    devices.count(offer.len(), advertised[0].1.len());
    let sharing: Sharing = coordinator.step("advertise", pools, || {
        let mut state = Advertising::new(&world.terms, &world.policy.authority);
        let checked: Vec<_> = advertised
            .par_iter()
            .map(|(_, frame)| {
                let (context, advertisement) = Advertisement::from_frame(frame).expect("a frame");
                state.check(&context, advertisement, 0).expect("good keys")
            })
            .collect();
        checked.into_iter().for_each(|checked| state.record(checked).expect("a place"));
        let drawing = state.close().expect("enough");
        let mut authority = world.authority.lock().expect("one at a time");
        let draw = drawing.wanted().map(|wanted| authority.draw(&wanted).expect("one roster"));
        drawing.open(draw).expect("a graph")
    });
    let rosters: Vec<Vec<u8>> = coordinator.step("rosters", pools, || {
        (0..n as u32).into_par_iter().map(|at| sharing.cohort().roster_for(at).to_frame()).collect()
    });

    let mut states: Vec<_> = advertised.into_iter().map(|(state, _)| std::sync::Mutex::new(Some(state))).collect();
    let shared: Vec<(Shared, Vec<u8>)> = devices.step("share", pools, 0..n, |device| {
        let roster = Roster::from_frame(&rosters[device], n as u32).expect("a frame");
        let state = states[device].lock().expect("one").take().expect("once");
        let (state, shares) =
            state.share(&roster, &world.identities[device], 0, &mut rng(2, device)).expect("a good roster");
        (state, shares.to_frame())
    });
    states.clear();
    devices.count(rosters[0].len(), shared[0].1.len());
    drop(rosters);
    let uploading: Uploading = coordinator.step("share", pools, || {
        let mut state = sharing.clone();
        for piece in shared.chunks(256) {
            let check = |(_, frame): &(Shared, Vec<u8>)| {
                state.check(Shares::from_frame(frame, neighbours).expect("a frame")).expect("good shares")
            };
            let checked: Vec<_> = piece.par_iter().map(check).collect();
            checked.into_iter().for_each(|checked| state.record(checked).expect("the first"));
        }
        state.close().expect("enough")
    });
    let deliveries: Vec<Vec<u8>> = coordinator.step("deliveries", pools, || {
        let frame = |at| uploading.delivery_for(at).expect("alive").to_frame();
        (0..n as u32).into_par_iter().map(frame).collect()
    });
    devices.count(deliveries[0].len(), 0);

    // Vectors in batches, so that they need not all be held.
    let shape = world.terms.shape();
    let mut sums = [MaskedSum::new(shape), MaskedSum::new(shape)];
    let mut uploading = uploading;
    let mut uploaded: BTreeMap<usize, Uploaded> = BTreeMap::new();
    let staying: Vec<usize> = (0..n).filter(|&device| stays(device)).collect();
    let shared: Vec<_> = shared.into_iter().map(|(state, _)| std::sync::Mutex::new(Some(state))).collect();
    for batch in staying.chunks(128) {
        let made: Vec<(Uploaded, Vec<u8>)> = devices.step("mask", pools, batch.iter().copied(), |device| {
            let state = shared[device].lock().expect("one").take().expect("once");
            let delivery = Delivery::from_frame(&deliveries[device], neighbours).expect("a frame");
            let ready = state.receive(&delivery).expect("good shares");
            let (state, upload) = saved(ready.mask(&world.vector, &world.identities[device]).expect("a vector"));
            (state, upload.to_frame())
        });
        if batch[0] == staying[0] {
            devices.count(0, made[0].1.len());
        }
        let checked: Vec<Checked<'_>> = coordinator.upload(pools, &mut sums, &uploading, &made);
        checked.iter().for_each(|checked| assert!(uploading.record(checked).expect("the first")));
        drop(checked);
        uploaded.extend(batch.iter().copied().zip(made.into_iter().map(|(state, _)| state)));
    }
    drop((shared, deliveries));
    let agreeing: Agreeing = coordinator.step("freeze", pools, || uploading.clone().close().expect("enough"));
    drop(uploading);
    let survivors = agreeing.survivors().to_frame();
    let uploaded: Vec<_> = uploaded.into_iter().map(|(device, s)| (device, std::sync::Mutex::new(Some(s)))).collect();
    let agreed: Vec<(Agreed, Vec<u8>)> = devices.step("agree", pools, 0..uploaded.len(), |at| {
        let survivors = Survivors::from_frame(&survivors, n as u32).expect("a frame");
        let state = uploaded[at].1.lock().expect("one").take().expect("once");
        let (state, agreement) =
            saved(state.agree(&survivors, &world.identities[uploaded[at].0]).expect("good survivors"));
        (state, agreement.to_frame())
    });
    devices.count(survivors.len(), agreed[0].1.len());
    let unmasking: Unmasking = coordinator.step("agree", pools, || {
        let mut state = agreeing.clone();
        let check = |(_, frame): &(Agreed, Vec<u8>)| state.check(&Agreement::from_frame(frame).expect("a frame"));
        let checked: Vec<_> = agreed.par_iter().map(check).collect();
        checked.into_iter().for_each(|checked| state.record(&checked.expect("good")));
        state.close().expect("enough")
    });
    drop(agreeing);
    let agreed: Vec<_> = agreed.into_iter().map(|(state, _)| std::sync::Mutex::new(Some(state))).collect();
    let quorums: Vec<Vec<u8>> = coordinator.step("quorums", pools, || {
        let frame = |(at, _): &(usize, _)| unmasking.quorum_for(*at as u32).expect("enough").to_frame();
        uploaded.par_iter().map(frame).collect()
    });
    let answers: Vec<Vec<u8>> = devices.step("unmask", pools, 0..uploaded.len(), |at| {
        let quorum = Quorum::from_frame(&quorums[at], neighbours).expect("a frame");
        let state = agreed[at].lock().expect("one").take().expect("once");
        saved(state.unmask(&quorum, &world.identities[uploaded[at].0]).expect("a quorum")).1.to_frame()
    });
    devices.count(quorums[0].len(), answers[0].len());
    let ready: Unmasking = coordinator.step("answers", pools, || {
        let mut state = unmasking.clone();
        for piece in answers.chunks(256) {
            let check = |frame: &Vec<u8>| state.check(Answer::from_frame(frame, neighbours).expect("a frame"));
            let checked: Vec<_> = piece.par_iter().map(check).collect();
            checked.into_iter().for_each(|checked| state.record(checked.expect("good")));
        }
        state
    });
    drop((unmasking, answers));
    let [sum, _] = sums;
    let outcome = coordinator.step("open", pools, || ready.clone().open(sum.clone(), &world.plan).expect("a sum"));
    let mut plain = Sum::new(&world.plan);
    staying.iter().for_each(|_| plain.add(&world.vector));
    let modulus = 1i64 << world.plan.bits();
    let residues = |sum: &Sum| sum.blocks().iter().flatten().map(|v| v.rem_euclid(modulus)).collect::<Vec<_>>();
    assert_eq!(residues(&outcome.sum), residues(&plain), "the sum is that of the vectors");
    devices.print(n, shape.bytes());
    coordinator.print();
    println!("peak memory {} MB", peak_memory());
}

impl World {
    fn new(n: usize, plan: RoundPlan, terms: Terms) -> Self {
        let mut random = rng(0, 0);
        let authority = Authority::new(Identity::generate(&mut random), BTreeMap::new());
        let operator = Identity::generate(&mut random);
        let mut identities: Vec<Identity> = (0..n).map(|_| Identity::generate(&mut random)).collect();
        // In the roster's order, so that a device's number is its position.
        identities.sort_by_key(|identity| identity.public().bytes());
        let certificates = identities.iter().map(|identity| authority.certify(&identity.public(), 1)).collect();
        let policy = Policy::new(authority.public(), operator.public());
        let block = Block::Dense(vec![0.001; plan.values()]);
        let rounded = Rounded::new(&Clipped::new(Statistics { blocks: vec![block] }, &plan), &plan, &mut random);
        let vector = Noised::new(&rounded, &Samplers::new(&plan).expect("samplers"), &mut random);
        Self { plan, terms, policy, authority: authority.into(), operator, identities, certificates, vector }
    }

    fn member(&self, device: usize) -> Member<'_> {
        Member { identity: &self.identities[device], certificate: &self.certificates[device] }
    }
}

impl Devices {
    fn step<T: Send>(
        &mut self,
        name: &'static str,
        pools: &[rayon::ThreadPool; 2],
        devices: impl Iterator<Item = usize>,
        work: impl Fn(usize) -> T + Sync,
    ) -> Vec<T> {
        let devices: Vec<usize> = devices.collect();
        let one = |&device: &usize| {
            let before = thread_time();
            let result = work(device);
            (result, thread_time().saturating_sub(before))
        };
        let results: Vec<(T, Duration)> = pools[1].install(|| devices.par_iter().map(one).collect());
        let spent = results.iter().map(|(_, spent)| *spent).sum();
        match self.steps.iter_mut().find(|(known, _)| *known == name) {
            Some((_, total)) => *total += spent,
            None => self.steps.push((name, spent)),
        }
        results.into_iter().map(|(result, _)| result).collect()
    }

    fn count(&mut self, received: usize, sent: usize) {
        self.received += received;
        self.sent += sent;
    }

    fn print(&self, n: usize, vector: usize) {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3 / n as f64;
        println!("device, processor time:");
        self.steps.iter().for_each(|(name, time)| println!("  {name:<12}{:8.2} ms", milliseconds(*time)));
        let total: Duration = self.steps.iter().map(|(_, time)| *time).sum();
        println!("  {:<12}{:8.2} ms", "whole round", milliseconds(total));
        let ratio = self.sent as f64 / vector as f64;
        println!("  sends {} bytes, {ratio:.4} times the packed {vector}; receives {}", self.sent, self.received);
    }
}

impl Coordinator {
    fn step<T: Send>(
        &mut self,
        name: &'static str,
        pools: &[rayon::ThreadPool; 2],
        work: impl Fn() -> T + Sync + Send,
    ) -> T {
        let (_, one) = timed(|| pools[0].install(&work));
        let (result, two) = timed(|| pools[1].install(&work));
        self.add(name, [one, two]);
        result
    }

    /// Checks a batch and adds it up in parts, into a sum for each of the pools.
    fn upload<'a>(
        &mut self,
        pools: &[rayon::ThreadPool; 2],
        sums: &mut [MaskedSum; 2],
        state: &Uploading,
        made: &'a [(Uploaded, Vec<u8>)],
    ) -> Vec<Checked<'a>> {
        let shape = state.cohort().shape();
        let part = |made: &'a [(Uploaded, Vec<u8>)]| {
            let mut sum = MaskedSum::new(shape);
            let check = |(_, frame): &'a (Uploaded, Vec<u8>)| {
                let received = ReceivedUpload::from_frame(frame.as_slice(), shape).expect("a frame");
                state.check(received).expect("a good upload")
            };
            let checked: Vec<_> = made.iter().map(check).inspect(|checked| sum.add(checked)).collect();
            (sum, checked)
        };
        let mut times = [(Duration::ZERO, Duration::ZERO); 2];
        let mut all = Vec::new();
        for ((pool, sum), time) in pools.iter().zip(sums).zip(&mut times) {
            let work = || made.par_chunks(made.len().div_ceil(pool.current_num_threads())).map(part).collect();
            let (parts, spent): (Vec<_>, _) = timed(|| pool.install(work));
            *time = spent;
            parts.iter().for_each(|(part, _)| sum.merge(part));
            all = parts.into_iter().flat_map(|(_, checked)| checked).collect();
        }
        self.add("uploads", times);
        all
    }

    fn add(&mut self, name: &'static str, times: [(Duration, Duration); 2]) {
        match self.steps.iter_mut().find(|(known, _)| *known == name) {
            Some((_, total)) => {
                for (total, time) in total.iter_mut().zip(times) {
                    *total = (total.0 + time.0, total.1 + time.1);
                }
            }
            None => self.steps.push((name, times)),
        }
    }

    fn print(&self) {
        println!("coordinator:  one thread: processor, wall   two threads: wall");
        let line = |name: &str, times: &[(Duration, Duration); 2]| {
            let [(cpu, wall), (_, two)] = times.map(|(cpu, wall)| (cpu.as_secs_f64(), wall.as_secs_f64()));
            println!("  {name:<14}{cpu:10.3} s {wall:10.3} s {two:10.3} s   {:.2} times", wall / two);
        };
        let mut total = [(Duration::ZERO, Duration::ZERO); 2];
        for (name, times) in &self.steps {
            line(name, times);
            for (total, time) in total.iter_mut().zip(times) {
                *total = (total.0 + time.0, total.1 + time.1);
            }
        }
        line("whole round", &total);
    }
}

/// A plan of this many values whose sums need this many bits: less noise means a finer grid.
fn plan(devices: usize, values: usize, bits: u32) -> RoundPlan {
    let try_rho = |rho: f64| {
        let blocks = vec![BlockLayout::new("values", values, 1, 1.0)];
        let request = PlanRequest { rho: Some(rho), honest_fraction: 0.7, ..PlanRequest::new(devices, blocks) };
        RoundPlan::new(request).expect("a plan")
    };
    let mut rho = 1e-3;
    while try_rho(rho).bits() < bits && rho < 1e12 {
        rho *= 1.1;
    }
    try_rho(rho)
}

fn rng(step: u64, device: usize) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(step << 32 | device as u64)
}

fn saved<S, M>(unsaved: device::Unsaved<S, M>) -> (S, M) {
    unsaved.save(|_| Ok::<(), Infallible>(())).expect("nothing is written here")
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, (Duration, Duration)) {
    let (cpu, wall) = (process_time(), Instant::now());
    let result = work();
    (result, (process_time().saturating_sub(cpu), wall.elapsed()))
}

/// Processor time of this thread, to the nanosecond, as Linux counts it.
fn thread_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux counts processor time");
    Duration::from_nanos(text.split(' ').next().and_then(|n| n.parse().ok()).expect("a number"))
}

/// Processor time of all threads, in hundredths of a second.
fn process_time() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").expect("Linux counts processor time");
    let fields: Vec<&str> = text.rsplit(')').next().expect("fields").split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().expect("ticks")).sum();
    Duration::from_millis(ticks * 10)
}

fn peak_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").expect("Linux counts memory");
    let line = text.lines().find(|line| line.starts_with("VmHWM")).expect("a line");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).expect("a number") / 1024
}
