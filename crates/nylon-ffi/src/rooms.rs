//! Rooms of this process: which sockets of a plugin are in which, and the way of a broadcast to them, over a carrier if other
//! gateways have members too. Scoped by the name of the plugin, as on NATS.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, Weak},
};

use bytes::Bytes;
use nylon_plugin::MessageKind;
use nylon_wire::method;

use crate::{
    lock::lock,
    shared::Shared,
    state::{Event, OVERHEAD, Stage, State},
};

/// So much may wait for a socket when a room's message comes, bytes; more closes it.
const QUEUE: usize = 1 << 20;
/// Rooms that one socket may be in at a time.
const ROOMS: usize = 1_024;
/// RFC 6455, 7.4.1.
const TRY_AGAIN: u16 = 1013;

type Members = HashMap<(Arc<str>, String), Vec<Weak<Shared>>>;

/// Never locked while a session's state is wanted, only the other way round.
static ROOMS_OF_ALL: LazyLock<Mutex<Members>> = LazyLock::new(Mutex::default);

pub(crate) fn join(session: &Arc<Shared>, state: &mut State, room: String) {
    // An empty name is ignored, as in the original.
    if room.is_empty() || state.rooms.contains(&room) {
        return;
    }
    if state.rooms.len() >= ROOMS || room.contains('\0') {
        session.complain(format_args!("it joins more than {ROOMS} rooms, or one with a NUL in its name: ignored"));
        return;
    }
    let key = (Arc::clone(&session.entry.plugin), room.clone());
    lock(&ROOMS_OF_ALL).entry(key).or_default().push(Arc::downgrade(session));
    if let Some(rooms) = &session.entry.rooms {
        rooms.open(&session.entry.plugin, &room);
    }
    state.rooms.push(room);
}

pub(crate) fn leave(session: &Arc<Shared>, state: &mut State, room: String) {
    if let Some(index) = state.rooms.iter().position(|joined| *joined == room) {
        state.rooms.swap_remove(index);
        depart(session, room);
    }
}

/// Leaves every room.
pub(crate) fn leave_all(session: &Arc<Shared>, state: &mut State) {
    for room in std::mem::take(&mut state.rooms) {
        depart(session, room);
    }
}

fn depart(session: &Arc<Shared>, room: String) {
    if let Some(rooms) = &session.entry.rooms {
        rooms.close(&session.entry.plugin, &room);
    }
    let key = (Arc::clone(&session.entry.plugin), room);
    let mut rooms = lock(&ROOMS_OF_ALL);
    let Some(members) = rooms.get_mut(&key) else { return };
    members.retain(|member| !std::ptr::eq(member.as_ptr(), Arc::as_ptr(session)));
    if members.is_empty() {
        rooms.remove(&key);
    }
}

/// Room, NUL, message. Every member gets it, the sender too if it is one.
pub(crate) fn broadcast(session: &Shared, number: u32, payload: &[u8]) {
    let Some(split) = payload.iter().position(|byte| *byte == 0) else { return };
    let (room, message) = (String::from_utf8_lossy(&payload[..split]), &payload[split + 1..]);
    if room.is_empty() {
        return;
    }
    let (kind, bytes) = if number == method::WEBSOCKET_BROADCAST_ROOM_TEXT {
        (MessageKind::Text, Bytes::from(String::from_utf8_lossy(message).into_owned()))
    } else {
        (MessageKind::Binary, Bytes::copy_from_slice(message))
    };
    match &session.entry.rooms {
        Some(rooms) => rooms.say(&session.entry.plugin, &room, kind, bytes),
        None => deliver(&session.entry.plugin, &room, kind, &bytes),
    }
}

/// Hands a message to the members of a room in this process.
pub fn deliver(plugin: &str, room: &str, kind: MessageKind, bytes: &Bytes) {
    let key = (Arc::from(plugin), room.to_owned());
    let members: Vec<_> = lock(&ROOMS_OF_ALL).get(&key).into_iter().flatten().filter_map(Weak::upgrade).collect();
    for member in members {
        give(&member, kind, bytes.clone());
    }
}

fn give(member: &Shared, kind: MessageKind, bytes: Bytes) {
    let mut state = member.state();
    if !matches!(state.stage, Stage::Upgrading | Stage::Socket) || state.overflown {
        return;
    }
    if state.weight + bytes.len() + OVERHEAD > QUEUE.max(bytes.len() + OVERHEAD) {
        state.overflown = true;
        state.events.retain(|event| !matches!(event, Event::Send(..)));
        state.push(Event::Close { code: TRY_AGAIN, reason: "the client takes the room's messages too slowly".into() });
        return;
    }
    state.weight += bytes.len() + OVERHEAD;
    state.push(Event::Send(kind, bytes));
}
