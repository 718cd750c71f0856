package main

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"

	"github.com/spf13/cobra"
)

//go:embed template
var templates embed.FS

// newPluginNew is millrace plugin new.
func newPluginNew() *cobra.Command {
	var p pluginProject
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Make the source of a new connector plugin",
		Long: `Make a directory with a connector that works and its test: a module of its own that imports
Millrace's SDK. The name is in lower case, as of an executable: orders, or orders-api.`,
		Example: `  millrace plugin new orders
  millrace plugin new orders --kind sink --module github.com/me/orders --class com.example.OrdersSinkConnector`,
		Args: exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p.Name = args[0]
			return p.create(cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVar(&p.Kind, "kind", "source", "source or sink")
	f.StringVar(&p.Module, "module", "", "path of the module; example.com/NAME if not given")
	f.StringVar(&p.Class, "class", "", "value of connector.class; com.example.NameSourceConnector or the like if not given")
	f.StringVar(&p.dir, "dir", "", "directory to make; NAME if not given")
	f.StringVar(&p.Replace, "replace", "", "a checkout of Millrace to build against instead of a released version")
	return cmd
}

// pluginProject is what a plugin's source is made from.
type pluginProject struct {
	Name, Kind, Module, Class string
	Type                      string // Name as a Go name
	Version, Replace          string // of Millrace's module
	dir                       string
}

var (
	pluginName  = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	pluginClass = regexp.MustCompile(`^[A-Za-z_$][\w$]*(\.[A-Za-z_$][\w$]*)*$`)
	pluginPath  = regexp.MustCompile(`^[\w.~-]+(/[\w.~-]+)*$`)
)

// moduleVersion is the version of Millrace that a plugin requires of a build
// that has none.
const moduleVersion = "v0.0.0"

// complete fills in what was not given and checks what was.
func (p *pluginProject) complete() error {
	if !pluginName.MatchString(p.Name) {
		return usagef("name is %q: must be lower case letters and digits, with single hyphens between them", p.Name)
	}
	if p.Kind != "source" && p.Kind != "sink" {
		return usagef("--kind is %q: must be source or sink", p.Kind)
	}
	for part := range strings.SplitSeq(p.Name, "-") {
		p.Type += strings.ToUpper(part[:1]) + part[1:]
	}
	if p.Class == "" {
		p.Class = "com.example." + p.Type + strings.ToUpper(p.Kind[:1]) + p.Kind[1:] + "Connector"
	}
	if p.Module == "" {
		p.Module = "example.com/" + p.Name
	}
	if p.dir == "" {
		p.dir = p.Name
	}
	if !pluginClass.MatchString(p.Class) {
		return usagef("--class is %q: must be a Java class name", p.Class)
	}
	if !pluginPath.MatchString(p.Module) {
		return usagef("--module is %q: must be a module path such as github.com/me/orders", p.Module)
	}
	p.Version = moduleVersion
	if v := readBuildInfo().Version; strings.HasPrefix(v, "v") {
		p.Version = v
	}
	if p.Replace != "" {
		abs, err := filepath.Abs(p.Replace)
		if err != nil {
			return err
		}
		p.Replace = abs
	}
	return nil
}

// create writes the files. A directory that exists is left alone.
func (p *pluginProject) create(out io.Writer) error {
	if err := p.complete(); err != nil {
		return err
	}
	if _, err := os.Stat(p.dir); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("%s exists already: name another directory with --dir", p.dir), err)
	}
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return err
	}
	for _, from := range []string{"template", "template/" + p.Kind} {
		entries, err := templates.ReadDir(from)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if name, ok := strings.CutSuffix(e.Name(), ".tmpl"); ok {
				if err := p.write(from+"/"+e.Name(), filepath.Join(p.dir, name)); err != nil {
					return err
				}
			}
		}
	}
	_, err := fmt.Fprintf(out, "%s holds a %s connector, %s. What to do next is in %s.\n", p.dir, p.Kind, p.Class, filepath.Join(p.dir, "README.md"))
	return err
}

func (p *pluginProject) write(from, to string) error {
	text, err := templates.ReadFile(from)
	if err != nil {
		return err
	}
	t, err := template.New(from).Parse(string(text))
	if err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(t.Execute(f, p), f.Close())
}
