// Command reference prints docs/go-reference.md: the exported names of the public packages, with their comments and examples.
// It runs in the folder of the module.
package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/doc"
	"go/format"
	"go/parser"
	"go/token"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

const module = "github.com/AssetsArt/nylon/sdk/go/"

func main() {
	log.SetFlags(0)
	out := &bytes.Buffer{}
	fmt.Fprint(out, "<!-- generated from sdk/go by `make generate` -->\n# Go reference\n\n"+
		"Every exported name of the Go SDK. The examples are run by its tests.\n")
	for _, name := range []string{"sdk", "sdktest"} {
		page, err := newPage(name)
		if err != nil {
			log.Fatal(err)
		}
		page.write(out)
	}
	if _, err := os.Stdout.Write(blankLines.ReplaceAll(bytes.TrimSpace(out.Bytes()), []byte("\n\n"))); err != nil {
		log.Fatal(err)
	}
	fmt.Println()
}

var blankLines = regexp.MustCompile(`\n{3,}`)

// page is one package.
type page struct {
	set  *token.FileSet
	pkg  *doc.Package
	name string
}

func newPage(name string) (*page, error) {
	paths, err := filepath.Glob(filepath.Join(name, "*.go"))
	if err != nil {
		return nil, err
	}
	set, files := token.NewFileSet(), []*ast.File{}
	for _, path := range paths {
		file, err := parser.ParseFile(set, path, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	pkg, err := doc.NewFromFiles(set, files, module+name)
	if err != nil {
		return nil, fmt.Errorf("reading package %s: %w", name, err)
	}
	return &page{set, pkg, name}, nil
}

func (p *page) write(out *bytes.Buffer) {
	fmt.Fprintf(out, "\n## Package %s\n\n`import \"%s%s\"`\n\n%s", p.name, module, p.name, p.text(p.pkg.Doc))
	p.examples(out, p.pkg.Examples)
	p.values(out, "Constants", p.pkg.Consts)
	p.values(out, "Variables", p.pkg.Vars)
	for _, function := range p.pkg.Funcs {
		p.function(out, "###", function)
	}
	for _, kind := range p.pkg.Types {
		fmt.Fprintf(out, "\n### type %s\n\n%s%s", kind.Name, p.code(kind.Decl), p.text(kind.Doc))
		p.examples(out, kind.Examples)
		for _, group := range append(kind.Consts, kind.Vars...) {
			fmt.Fprint(out, "\n", p.code(group.Decl), p.text(group.Doc))
		}
		for _, function := range append(kind.Funcs, kind.Methods...) {
			p.function(out, "####", function)
		}
	}
}

func (p *page) values(out *bytes.Buffer, title string, groups []*doc.Value) {
	if len(groups) > 0 {
		fmt.Fprintf(out, "\n### %s\n\n", title)
	}
	for _, group := range groups {
		fmt.Fprint(out, p.code(group.Decl), p.text(group.Doc))
	}
}

func (p *page) function(out *bytes.Buffer, level string, function *doc.Func) {
	name := function.Name
	if function.Recv != "" {
		name = strings.TrimPrefix(function.Recv, "*") + "." + name
	}
	fmt.Fprintf(out, "\n%s %s\n\n%s%s", level, name, p.code(function.Decl), p.text(function.Doc))
	p.examples(out, function.Examples)
}

func (p *page) examples(out *bytes.Buffer, examples []*doc.Example) {
	for _, example := range examples {
		code := strings.TrimSuffix(strings.TrimPrefix(p.source(example.Code), "{\n"), "\n}")
		code = regexp.MustCompile(`(?m)^\t`).ReplaceAllString(code, "")
		code, _, _ = strings.Cut(code, "\n// Output:")
		fmt.Fprintf(out, "\n%s\n```go\n%s\n```\n", p.text(example.Doc), strings.TrimSpace(code))
		if example.Output != "" {
			fmt.Fprintf(out, "\nprints\n\n```text\n%s```\n", example.Output)
		}
	}
}

// text is a comment in Markdown. Names of this page are links to it.
func (p *page) text(comment string) string {
	if comment == "" {
		return ""
	}
	printer := p.pkg.Printer()
	printer.HeadingLevel = 4
	return string(printer.Markdown(p.pkg.Parser().Parse(comment))) + "\n"
}

// code is a declaration without its comment and body.
func (p *page) code(declaration ast.Decl) string {
	switch d := declaration.(type) {
	case *ast.FuncDecl:
		d.Doc, d.Body = nil, nil
	case *ast.GenDecl:
		d.Doc = nil
	}
	return "```go\n" + p.source(declaration) + "\n```\n\n"
}

func (p *page) source(node any) string {
	var out bytes.Buffer
	if err := format.Node(&out, p.set, node); err != nil {
		log.Fatal(err)
	}
	return out.String()
}
