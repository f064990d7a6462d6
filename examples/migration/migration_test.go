// Package migration moves a plugin from a library to workers.
package migration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestFewLinesChange: fewer than ten lines of code are taken out or put in, and both programs compile.
func TestFewLinesChange(t *testing.T) {
	before, after := code(t, "before/main.go"), code(t, "after/main.go")
	if changed := len(before) + len(after) - 2*common(before, after); changed == 0 || changed >= 10 {
		t.Errorf("%d lines change", changed)
	}
	build(t, "0", "./after")
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("a library for the gateway needs a C compiler, and there is none")
	}
	build(t, "1", "-buildmode=c-shared", "./before")
}

func build(t *testing.T, cgo string, arguments ...string) {
	t.Helper()
	command := exec.Command("go", append([]string{"build", "-o", filepath.Join(t.TempDir(), "built")}, arguments...)...)
	command.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
	if output, err := command.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", command, err, output)
	}
}

// code is a program's lines without its first, a comment.
func code(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(text), "\n")[1:]
}

// common is the length of the longest sequence of lines that both have.
func common(a, b []string) int {
	best := make([]int, len(b)+1)
	for _, line := range a {
		diagonal := 0
		for j := range b {
			above := best[j+1]
			if line == b[j] {
				best[j+1] = diagonal + 1
			} else {
				best[j+1] = max(above, best[j])
			}
			diagonal = above
		}
	}
	return best[len(b)]
}
