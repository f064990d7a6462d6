//go:build cgo

// A program with the SDK that is no library: to its C code, shutdown is the system call.
package main

/*
#include <sys/socket.h>
#include <unistd.h>

// The number of bytes that a read gives behind a shutdown: 0 is the end of the stream.
static long at_the_end(void) {
  int pair[2];
  char byte;
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) || shutdown(pair[0], SHUT_WR)) return -1;
  return recv(pair[1], &byte, 1, MSG_DONTWAIT);
}
*/
import "C"

import (
	"fmt"

	"github.com/AssetsArt/nylon/sdk/go/sdk"
)

func main() {
	sdk.NewNylonPlugin().Shutdown(func() { panic("the plugin was shut down") })
	fmt.Println(C.at_the_end())
}
