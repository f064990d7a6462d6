//go:build cgo

package cabi

import _ "unsafe" // for go:linkname

//go:linkname programMain main.main
func programMain()

// Main is the program's func main, which Go does not run in a library.
func Main() { programMain() }
