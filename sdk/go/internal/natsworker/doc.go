// Package natsworker is the worker half of the Nylon session protocol over NATS (protocol/SPEC.md): sessions, order, credit,
// time, configuration, beats, drain. User code is behind the interfaces of package session.
//
// One mutex guards the state of a worker. A callback of nats.go only changes that state; user code runs in a goroutine per
// session, and one goroutine publishes.
package natsworker
