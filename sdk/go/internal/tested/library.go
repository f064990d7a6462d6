//go:build cgo

package main

import "github.com/AssetsArt/nylon/sdk/go/sdk"

// A library has no main: its entries are there when it is loaded. The worker is built without cgo.
func init() { register(sdk.NewNylonPlugin()) }
