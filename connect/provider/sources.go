package provider

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// maxFile bounds a file of secrets, in bytes.
const maxFile = 1 << 20

// allowed are the directories that a provider may read from (KIP-993); empty
// is everywhere.
type allowed []string

func parseAllowed(params map[string]string) (allowed, error) {
	var out allowed
	for p := range strings.SplitSeq(params["allowed.paths"], ",") {
		if p = strings.TrimSpace(p); p == "" {
			continue
		}
		if !filepath.IsAbs(p) {
			return nil, fmt.Errorf("allowed.paths: %s is not absolute", p)
		}
		real, err := filepath.EvalSymlinks(p)
		if err != nil {
			return nil, fmt.Errorf("allowed.paths: %w", err)
		}
		out = append(out, real)
	}
	return out, nil
}

// check returns the path with its links followed, if it may be read.
func (a allowed) check(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	for _, dir := range a {
		if real == dir || strings.HasPrefix(real, strings.TrimSuffix(dir, "/")+"/") {
			return real, nil
		}
	}
	if len(a) == 0 {
		return real, nil
	}
	return "", fmt.Errorf("%s is not under allowed.paths", path)
}

func readBounded(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return "", fmt.Errorf("%s is no file of at most %d bytes", path, maxFile)
	}
	raw, err := os.ReadFile(path)
	return string(raw), err
}

// file reads keys of Java properties files.
type file struct{ allowed allowed }

func newFile(params map[string]string) (Provider, error) {
	a, err := parseAllowed(params)
	return file{a}, err
}

// Get implements Provider.
func (f file) Get(path, key string) (string, error) {
	if path == "" {
		return "", errors.New("a file must be named: ${NAME:/path/of/file.properties:key}")
	}
	real, err := f.allowed.check(path)
	if err != nil {
		return "", err
	}
	text, err := readBounded(real)
	if err != nil {
		return "", err
	}
	props, err := ParseProperties(text)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	v, ok := props[key]
	if !ok {
		return "", fmt.Errorf("%s has no key %q", path, key)
	}
	return v, nil
}

// directory reads whole files: the key is a file's name.
type directory struct{ allowed allowed }

func newDirectory(params map[string]string) (Provider, error) {
	a, err := parseAllowed(params)
	return directory{a}, err
}

// Get implements Provider.
func (d directory) Get(path, key string) (string, error) {
	if path == "" || key == "" || key != filepath.Base(key) || key == ".." || key == "." {
		return "", errors.New("a directory and a file in it must be named: ${NAME:/path/of/directory:file}")
	}
	real, err := d.allowed.check(filepath.Join(path, key))
	if err != nil {
		return "", err
	}
	return readBounded(real)
}

// environment reads environment variables of the worker.
type environment struct{ allow *regexp.Regexp }

func newEnvironment(params map[string]string) (Provider, error) {
	pattern := params["allowlist.pattern"]
	if pattern == "" {
		return environment{}, nil
	}
	re, err := regexp.Compile(`^(?:` + pattern + `)$`)
	if err != nil {
		return nil, fmt.Errorf("allowlist.pattern: %w", err)
	}
	return environment{re}, nil
}

// Get implements Provider.
func (e environment) Get(path, key string) (string, error) {
	if path != "" {
		return "", errors.New("environment variables have no path: ${NAME:VARIABLE}")
	}
	if e.allow != nil && !e.allow.MatchString(key) {
		return "", fmt.Errorf("environment variable %s does not match allowlist.pattern", key)
	}
	v, ok := os.LookupEnv(key)
	if !ok {
		return "", fmt.Errorf("environment variable %s is not set on this worker", key)
	}
	return v, nil
}
