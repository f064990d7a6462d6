use super::*;

fn insert(table: &Table<u32>) -> u32 {
    *table.insert(Arc::new)
}

#[test]
fn numbers_go_round_without_0_and_without_those_in_use() {
    let table = Table::<u32>::new(u32::MAX - 1);
    assert_eq!([insert(&table), insert(&table), insert(&table), insert(&table)], [u32::MAX - 1, u32::MAX, 1, 2]);
    // Once around, with 1 over and 2 still there.
    table.remove(1);
    table.next.store(u32::MAX, Relaxed);
    assert_eq!([insert(&table), insert(&table)], [1, 3]);
    assert_eq!(table.get(2).as_deref(), Some(&2));
    assert_eq!(table.all().len(), 5);
}
