//! Which endpoint of a service is next.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Longest sequence that weights are expanded to, entries.
const MAX_SEQUENCE: u64 = 65_536;

/// Round robin over weighted endpoints: the sequence is laid out once, evenly interleaved, and shared by all threads.
#[derive(Debug)]
pub struct RoundRobin {
    sequence: Box<[u16]>,
    next: AtomicUsize,
}

impl RoundRobin {
    /// Lays out the sequence for endpoints with these weights.
    ///
    /// # Errors
    /// A text that says why there is no such sequence: no weight above 0, or weights too large.
    pub fn new(weights: &[u32]) -> Result<Self, String> {
        let divisor = weights.iter().fold(0, |divisor, &weight| gcd(divisor, weight));
        if divisor == 0 {
            return Err("no endpoint has a weight above 0".to_owned());
        }
        let weights: Vec<i64> = weights.iter().map(|&weight| i64::from(weight / divisor)).collect();
        let total: i64 = weights.iter().sum();
        if total.unsigned_abs() > MAX_SEQUENCE || weights.len() > usize::from(u16::MAX) {
            return Err(format!("weights add up to {total} after division by {divisor}, more than {MAX_SEQUENCE}"));
        }
        Ok(Self { sequence: interleave(&weights, total), next: AtomicUsize::new(0) })
    }

    /// Index of the endpoint for the next request. Wait-free.
    pub fn next(&self) -> usize {
        // Threads need not fight over whose turn it is.
        if let [only] = *self.sequence {
            return usize::from(only);
        }
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        usize::from(self.sequence[turn % self.sequence.len()])
    }
}

/// Smooth weighted round robin: each turn everybody gains its weight, the richest is chosen and pays the total.
fn interleave(weights: &[i64], total: i64) -> Box<[u16]> {
    let mut current = vec![0; weights.len()];
    let mut sequence = Vec::new();
    for _ in 0..total {
        let mut best = 0;
        for (index, weight) in weights.iter().enumerate() {
            current[index] += weight;
            if current[index] > current[best] {
                best = index;
            }
        }
        current[best] -= total;
        sequence.push(u16::try_from(best).unwrap_or_default());
    }
    sequence.into()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests;
