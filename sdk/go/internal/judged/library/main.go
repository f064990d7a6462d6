//go:build cgo

// The plugin of the conformance suite as a library: go build -buildmode=c-shared.
package main

import (
	"github.com/AssetsArt/nylon/sdk/go/internal/judged"
	"github.com/AssetsArt/nylon/sdk/go/sdk"
)

func init() { judged.Register(sdk.NewNylonPlugin()) }

func main() {}
