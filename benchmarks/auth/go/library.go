//go:build cgo

package main

import "github.com/AssetsArt/nylon/sdk/go/sdk"

func main() {
	plugin := sdk.NewNylonPlugin()
	defer plugin.Close()
	register(plugin)
	select {}
}
