//! SCAN, while the table grows, shrinks and is exchanged: who was there from start to end is met.

use crate::support::World;
use crate::support::reply::Resp;
use crate::with_seeds;
use std::collections::BTreeSet;
use waterwheel::base::rng::Rng;
use waterwheel::resp::reply::encode_request;

/// Scans that are under way at the same time in a run.
const SCANS: u64 = 40;

/// Runs, so that there are 10,000 scans.
const RUNS: u64 = 250;

struct Scan {
    cursor: Vec<u8>,
    begun: bool,
    count: u64,
    met: BTreeSet<Vec<u8>>,
}

/// Two databases have the same keys that stay, and each has others that come and go.
struct Scans {
    world: World,
    rng: Rng,
    /// Keys that stay.
    stable: u64,
    /// Numbers of the others that were ever written.
    others: u64,
}

impl Scans {
    fn new(seed: u64) -> Scans {
        let mut rng = Rng::from_seed(seed);
        let stable = 1 + rng.below([3, 30, 300][seed as usize % 3]);
        let mut scans = Scans { world: World::with_seed(seed), rng, stable, others: 0 };
        for db in ["0", "1"] {
            let keys =
                (0..stable).map(|number| vec!["SET".to_owned(), format!("stable:{number}"), String::new()]);
            let requests: Vec<_> =
                [vec!["SELECT".to_owned(), db.to_owned()]].into_iter().chain(keys).collect();
            scans.all("writer", &requests);
        }
        scans
    }

    /// Sends requests as one piece.
    fn all(&mut self, client: &str, requests: &[Vec<String>]) -> Vec<Resp> {
        let mut bytes = Vec::new();
        requests.iter().for_each(|request| encode_request(request, &mut bytes));
        self.world.send_bytes(client, &bytes);
        let (replies, _) = self.world.take_replies(client);
        assert_eq!(replies.len(), requests.len());
        replies
    }

    /// Something happens to the table.
    fn change(&mut self) {
        let db = self.rng.below(2).to_string();
        let mut requests = vec![vec!["SELECT".to_owned(), db]];
        let many = [5, 50, 1000][self.rng.below(3) as usize];
        match self.rng.below(6) {
            0..=1 => {
                for _ in 0..self.rng.below(many) {
                    self.others += 1;
                    requests.push(vec!["SET".to_owned(), format!("other:{}", self.others), String::new()]);
                }
            }
            2..=3 if self.others > 0 => {
                let mut request = vec!["DEL".to_owned()];
                let from = self.rng.below(self.others);
                request.extend((from..self.others.min(from + many)).map(|number| format!("other:{number}")));
                requests.extend((request.len() > 1).then_some(request));
            }
            4 => requests.push(["SWAPDB", "0", "1"].map(str::to_owned).to_vec()),
            5 if self.rng.below(8) == 0 => {
                let request = ["DEL".to_owned()].into_iter();
                requests.push(request.chain((0..=self.others).map(|n| format!("other:{n}"))).collect());
            }
            _ => {}
        }
        self.all("writer", &requests);
        self.world.advance_ms(1);
    }

    fn advance(&mut self, scan: &mut Scan) {
        let count = scan.count.to_string();
        let cursor = String::from_utf8_lossy(&scan.cursor).into_owned();
        let request = ["SCAN", &cursor, "COUNT", &count].map(str::to_owned).to_vec();
        let reply = self.all("scanner", &[request]).remove(0);
        let Resp::Array(mut parts) = reply else { panic!("{reply:?} is no reply to SCAN") };
        let (Some(Resp::Array(keys)), Some(Resp::Bulk(cursor))) = (parts.pop(), parts.pop()) else {
            panic!("a reply to SCAN has a cursor and keys");
        };
        for key in keys {
            let Resp::Bulk(key) = key else { panic!("{key:?} is no key") };
            scan.met.insert(key);
        }
        (scan.cursor, scan.begun) = (cursor, true);
    }
}

fn run(seed: u64) {
    let mut scans = Scans::new(seed);
    let mut under_way: Vec<Scan> = (0..SCANS)
        .map(|_| {
            let most = if scans.stable < 30 { 5 } else { 100 };
            let count = 1 + scans.rng.below(most);
            Scan { cursor: b"0".to_vec(), begun: false, count, met: BTreeSet::new() }
        })
        .collect();
    let mut rounds = 0;
    while !under_way.is_empty() {
        rounds += 1;
        assert!(rounds < 20_000, "a scan does not end");
        // In the end the table stands still, so that slow scans end.
        if rounds < 300 {
            scans.change();
        }
        under_way.retain_mut(|scan| {
            if scans.rng.below(3) == 0 && rounds < 300 {
                return true;
            }
            scans.advance(scan);
            let ended = scan.begun && scan.cursor == b"0";
            if ended {
                let missed: Vec<u64> = (0..scans.stable)
                    .filter(|n| !scan.met.contains(format!("stable:{n}").as_bytes()))
                    .collect();
                assert!(missed.is_empty(), "of {} keys {missed:?} were not met", scans.stable);
            }
            !ended
        });
    }
}

#[test]
fn scan_meets_whoever_was_there_from_start_to_end() {
    with_seeds("scan_meets", RUNS, run);
}
