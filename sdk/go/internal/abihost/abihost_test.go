package abihost

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/*/*.txt again")

// built is the host, and a folder of libraries.
type built struct{ host, folder string }

func (b built) library(name string) string { return filepath.Join(b.folder, name+".so") }

func build(t *testing.T, flags ...string) built {
	t.Helper()
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("a library for the gateway needs a C compiler, and there is none")
	}
	folder := t.TempDir()
	b := built{filepath.Join(folder, "host"), folder}
	run(t, exec.Command("cc", append(flags, "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-g", "-pthread", "-o", b.host, "host/host.c", "-ldl")...))
	for _, name := range []string{"plugin", "roadmap"} {
		library := exec.Command("go", "build", "-buildmode=c-shared", "-o", b.library(name), "./"+name)
		library.Env = append(os.Environ(), "CGO_ENABLED=1")
		run(t, library)
	}
	return b
}

func run(t *testing.T, command *exec.Cmd) {
	t.Helper()
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, output)
	}
}

// TestConversations has the host say what testdata/PLUGIN/*.in says and compares what it heard with *.txt.
func TestConversations(t *testing.T) {
	converse(t, build(t))
}

// TestMemory does the same with a host whose every access is checked: it gives its memory back as soon as the ABI lets it.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("the conversations run in TestConversations")
	}
	probe := exec.Command("cc", "-fsanitize=address", "-x", "c", "-o", filepath.Join(t.TempDir(), "probe"), "-")
	probe.Stdin = strings.NewReader("int main(void) { return 0; }")
	if output, err := probe.CombinedOutput(); err != nil {
		t.Skipf("the compiler has no address sanitizer: %s", output)
	}
	converse(t, build(t, "-fsanitize=address"))
}

func converse(t *testing.T, b built) {
	scripts, err := filepath.Glob("testdata/*/*.in")
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, script := range scripts {
		name := filepath.Base(filepath.Dir(script))
		t.Run(name+"/"+filepath.Base(script), func(t *testing.T) {
			input, err := os.Open(script)
			if err != nil {
				t.Fatal(err)
			}
			defer input.Close()
			var errors strings.Builder
			host := exec.Command(b.host, b.library(name))
			host.Stdin, host.Stderr = input, &errors
			// What the host leaves when it ends is nobody's loss, and Go's sigaltstack is not the sanitizer's.
			host.Env = append(os.Environ(), "ASAN_OPTIONS=detect_leaks=0:use_sigaltstack=0")
			output, err := host.Output()
			if err != nil {
				t.Fatalf("%v\n%s\n%s", err, output, errors.String())
			}
			expected := strings.TrimSuffix(script, ".in") + ".txt"
			got := without(string(output))
			if *update {
				if err := os.WriteFile(expected, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(expected)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s\nstderr\n%s", got, want, errors.String())
			}
		})
	}
}

// without leaves out log ids, which are random.
func without(output string) string {
	const before = `"id":"`
	var out strings.Builder
	for {
		head, rest, found := strings.Cut(output, before)
		out.WriteString(head)
		if !found {
			return out.String()
		}
		out.WriteString(before + "…")
		_, output, _ = strings.Cut(rest, `"`)
		out.WriteString(`"`)
	}
}

// TestSymbols: the library has the symbols of the ABI.
func TestSymbols(t *testing.T) {
	if _, err := exec.LookPath("nm"); err != nil {
		t.Skip("there is no nm")
	}
	symbols, err := exec.Command("nm", "-D", "--defined-only", build(t).library("plugin")).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"initialize", "shutdown", "plugin_free", "register_session_stream", "event_stream", "close_session_stream",
		"nylon_session_phases", "nylon_run_phase", "nylon_host_extensions",
	} {
		if !strings.Contains(string(symbols), " T "+name+"\n") {
			t.Errorf("no symbol %s", name)
		}
	}
}

// TestShutdownStaysASystemCall: the ABI has a symbol of that name, which C code of a worker must not get.
func TestShutdownStaysASystemCall(t *testing.T) {
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("only C code can get it, and there is no C compiler")
	}
	command := exec.Command("go", "run", "./program")
	command.Env = append(os.Environ(), "CGO_ENABLED=1")
	if output, err := command.CombinedOutput(); err != nil || string(output) != "0\n" {
		t.Errorf("%v: %s", err, output)
	}
}
