package sdk_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// TestEveryExportedNameIsDocumented looks at both public packages.
func TestEveryExportedNameIsDocumented(t *testing.T) {
	for _, folder := range []string{".", "../sdktest"} {
		paths, err := filepath.Glob(filepath.Join(folder, "*.go"))
		if err != nil || len(paths) == 0 {
			t.Fatal(err)
		}
		files, set := []*ast.File{}, token.NewFileSet()
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(set, path, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, file)
		}
		pkg, err := doc.NewFromFiles(set, files, "github.com/AssetsArt/nylon/sdk/go/"+filepath.Base(folder))
		if err != nil {
			t.Fatal(err)
		}
		check := func(name, text string) {
			if text == "" {
				t.Errorf("%s: %s has no comment", folder, name)
			}
		}
		check("the package", pkg.Doc)
		for _, group := range append(pkg.Consts, pkg.Vars...) {
			check(strings.Join(group.Names, ", "), group.Doc)
		}
		for _, function := range pkg.Funcs {
			check(function.Name, function.Doc)
		}
		for _, kind := range pkg.Types {
			check(kind.Name, kind.Doc)
			for _, function := range append(kind.Funcs, kind.Methods...) {
				check(kind.Name+"."+function.Name, function.Doc)
			}
			for _, group := range append(kind.Consts, kind.Vars...) {
				check(strings.Join(group.Names, ", "), group.Doc)
			}
			ast.Inspect(kind.Decl, func(node ast.Node) bool {
				fields, ok := node.(*ast.FieldList)
				if !ok {
					return true
				}
				for _, field := range fields.List {
					for _, name := range field.Names {
						if name.IsExported() && field.Doc == nil && field.Comment == nil {
							t.Errorf("%s: %s.%s has no comment", folder, kind.Name, name.Name)
						}
					}
				}
				return false
			})
		}
	}
}
