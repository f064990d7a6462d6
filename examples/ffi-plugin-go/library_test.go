package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestTheLibraryServes loads the library as a gateway does and has it refuse a request.
func TestTheLibraryServes(t *testing.T) {
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("a library for the gateway needs a C compiler, and there is none")
	}
	folder := t.TempDir()
	library, host := filepath.Join(folder, "auth.so"), filepath.Join(folder, "host")
	build := exec.Command("go", "build", "-buildmode=c-shared", "-o", library, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=1")
	compile := exec.Command("cc", "-std=gnu11", "-pthread", "-o", host, "../../sdk/go/internal/abihost/host/host.c", "-ldl")
	for _, command := range []*exec.Cmd{build, compile} {
		if output, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, output)
		}
	}
	script, err := os.Open("testdata/conversation.in")
	if err != nil {
		t.Fatal(err)
	}
	defer script.Close()
	want, err := os.ReadFile("testdata/conversation.txt")
	if err != nil {
		t.Fatal(err)
	}
	run := exec.Command(host, library)
	run.Stdin = script
	got, err := run.Output()
	if err != nil || string(got) != string(want) {
		t.Errorf("%v, got\n%s\nwant\n%s", err, got, want)
	}
}

// TestTheHandlersAreThoseOfTheWorker: the transport is chosen in main.go, and nowhere else.
func TestTheHandlersAreThoseOfTheWorker(t *testing.T) {
	var files [2]string
	for i, path := range []string{"auth.go", "../nats-plugin-go/auth.go"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[i] = string(text)
	}
	if files[0] != files[1] {
		t.Error("auth.go is not that of nats-plugin-go")
	}
}
