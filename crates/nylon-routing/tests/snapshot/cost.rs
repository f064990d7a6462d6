//! The cost of a look-up does not grow with the number of routes.

use std::{hint::black_box, time::Instant};

use crate::support::{path, route, with_routes};
use http::{HeaderMap, Method};
use nylon_routing::Snapshot;

fn snapshot(routes: usize) -> Snapshot {
    let one = |index: usize| {
        let host = format!("host-{index}.test");
        route(&host, "host", &[&host], vec![path(&["/", "/users/{id}", "/{*path}"])])
    };
    with_routes((0..routes).map(one).collect()).unwrap()
}

/// The shortest of many batches: what else runs on the machine can only make a batch longer.
fn shortest_batch(snapshot: &Snapshot, host: &str) -> u128 {
    let headers = HeaderMap::new();
    let batch = || {
        let start = Instant::now();
        for _ in 0..1_000 {
            black_box(snapshot.find(black_box(host), &Method::GET, black_box("/users/7"), &headers).is_ok());
        }
        start.elapsed().as_nanos()
    };
    (0..200).map(|_| batch()).min().unwrap()
}

#[test]
fn a_thousand_routes_cost_what_one_costs() {
    let one = shortest_batch(&snapshot(1), "host-0.test");
    let thousand = shortest_batch(&snapshot(1_000), "host-999.test");
    assert!(thousand < 2 * one, "{thousand} ns instead of {one} ns for a thousand look-ups");
}
