// Package ffi is a plugin inside the gateway's process: the library's half of the Nylon ABI, without its C side, which is
// package cabi. What crosses the boundary are messages of a session number, a phase, a method and bytes.
package ffi
