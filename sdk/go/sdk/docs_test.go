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
	page, err := os.ReadFile("../../../docs/nats-plugins/getting-started.md")
	if err != nil {
		t.Fatal(err)
	}
	// Inside this module, so that it needs no downloads of its own.
	folder, err := os.MkdirTemp("../internal", "snippets-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(folder); err != nil {
			t.Error(err)
		}
	})
	snippets := regexp.MustCompile("(?ms)^```go\n(.*?)^```").FindAllStringSubmatch(string(page), -1)
	if len(snippets) != 2 {
		t.Fatalf("%d snippets", len(snippets))
	}
	for i, snippet := range snippets {
		name := fmt.Sprintf("snippet%d.go", i)
		if strings.Contains(snippet[1], "testing.T") {
			name = fmt.Sprintf("snippet%d_test.go", i)
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(snippet[1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, command := range [][]string{{"vet", "."}, {"test", "-count=1", "."}} {
		run := exec.Command("go", command...)
		run.Dir = folder
		if output, err := run.CombinedOutput(); err != nil {
			t.Errorf("go %s: %v\n%s", command[0], err, output)
		}
	}
}
