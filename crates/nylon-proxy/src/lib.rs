//! Listeners, HTTP, upstream pools: drives one exchange through gateway and plugin chain.
