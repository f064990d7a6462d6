// An authentication plugin: a worker on NATS that lets requests with a known bearer token pass and tells the upstream who it is.
package main

import (
	"log"

	"github.com/AssetsArt/nylon/sdk/go/sdk"
)

func main() {
	plugin, err := sdk.NewNatsPlugin("", "") // NATS_SERVERS, NATS_GROUP
	if err != nil {
		log.Fatal(err)
	}
	defer plugin.Close()
	register(plugin)
	select {} // SIGTERM drains: requests that run may finish
}
