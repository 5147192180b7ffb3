//! Runs one file and prints every measure.
use simoom_scenarios::{RunOptions, Scenario, run_with};
use simoom_sim::hash::{EventRecord, EventTap};
use simoom_sim::seed::Seed;
struct Tap;
impl EventTap for Tap {
    fn on_event(&mut self, r: &EventRecord<'_>) {
        if std::env::var("TAP").is_ok() && r.bytes.len() >= 54 && r.bytes[12..14] == [8, 0] {
            let b = r.bytes;
            let seq = u32::from_be_bytes(b[38..42].try_into().unwrap());
            let ack = u32::from_be_bytes(b[42..46].try_into().unwrap());
            let port = u16::from_be_bytes(b[34..36].try_into().unwrap());
            let hl = (b[46] >> 4) as i64 * 4;
            let tl = u16::from_be_bytes(b[16..18].try_into().unwrap()) as i64 - 20 - hl as i64;
            println!(
                "{:?} sent {:?} dir {} {:?} port {port} seq {seq} ack {ack} flags {:02x} len {tl} win {}",
                r.at,
                r.sent_at,
                r.direction,
                r.fate,
                b[47],
                u16::from_be_bytes(b[48..50].try_into().unwrap())
            );
        }
    }
}
fn main() {
    let file = std::env::args().nth(1).unwrap();
    let want = std::env::args().nth(2).unwrap_or_default();
    let seed: u64 = std::env::args().nth(3).map_or(0, |s| s.parse().unwrap());
    let s = Scenario::load(file.as_ref()).unwrap_or_else(|e| panic!("\n{e}"));
    for case in s.cases().iter().filter(|c| c.name.contains(&want)) {
        let mut o = RunOptions::new(Seed(seed));
        o.until = std::env::var("UNTIL").ok().map(|u| u.parse().unwrap());
        let (r, _) = run_with(case, &o, Tap, &mut |_| {});
        if let Some(d) = &r.dump {
            println!("{d}");
        }
        println!("{}", simoom_scenarios::json_line(&r, None));
    }
}
