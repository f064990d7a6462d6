//go:build !race

package sdk_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocs compiles the Go snippets of the documentation as they stand, and runs the tests among them.
func TestDocs(t *testing.T) {
	first := snippets(t, "nats-plugins/getting-started.md", 4)
	compile(t, first, [][]string{{"vet", "."}, {"test", "-count=1", "."}})
	for _, program := range snippets(t, "migration/ffi-to-nats.md", 4) {
		if strings.Contains(program, "NewNylonPlugin") && !hasCgo(t) {
			continue
		}
		compile(t, []string{program}, [][]string{{"vet", "."}})
	}
}

// hasCgo says whether libraries can be built here.
func hasCgo(t *testing.T) bool {
	t.Helper()
	enabled, err := exec.Command("go", "env", "CGO_ENABLED").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(enabled)) == "1"
}

func snippets(t *testing.T, page string, count int) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../../docs", page))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, match := range regexp.MustCompile("(?ms)^```go\n(.*?)^```").FindAllStringSubmatch(string(text), -1) {
		found = append(found, match[1])
	}
	if len(found) != count {
		t.Fatalf("%s has %d snippets", page, len(found))
	}
	return found
}

// compile runs go commands on snippets that are one package.
func compile(t *testing.T, snippets []string, commands [][]string) {
	t.Helper()
	// Inside this module, so that it needs no downloads of its own.
	folder, err := os.MkdirTemp("../internal", "snippets-")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := os.RemoveAll(folder); err != nil {
			t.Error(err)
		}
	}()
	for i, snippet := range snippets {
		name := fmt.Sprintf("snippet%d.go", i)
		if strings.Contains(snippet, "testing.T") {
			name = fmt.Sprintf("snippet%d_test.go", i)
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(snippet), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, command := range commands {
		run := exec.Command("go", command...)
		run.Dir = folder
		if output, err := run.CombinedOutput(); err != nil {
			t.Errorf("go %s: %v\n%s", command[0], err, output)
		}
	}
}
