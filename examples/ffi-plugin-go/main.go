// An authentication plugin as a shared library inside the gateway: it lets requests with a known bearer token pass and tells the
// upstream who it is.
package main

import "github.com/AssetsArt/nylon/sdk/go/sdk"

func main() { // runs in the gateway's process, when it has loaded the library
	plugin := sdk.NewNylonPlugin()
	defer plugin.Close()
	register(plugin)
	select {}
}
