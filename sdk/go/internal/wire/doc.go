// Package wire is the codec of the Nylon session protocol, version 1: frames as positional MessagePack arrays, written and
// read by hand. It does no I/O and uses no reflection. protocol/SPEC.md numbers its rules, protocol/vectors judges it.
package wire
