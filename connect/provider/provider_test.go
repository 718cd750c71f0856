package provider

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const pkg = "org.apache.kafka.common.config.provider."

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// set makes all three providers, reading only from dir.
func set(t *testing.T, dir string) Set {
	t.Helper()
	s, err := New(map[string]string{
		"config.providers":            "file, dir,env",
		"config.providers.file.class": pkg + "FileConfigProvider", "config.providers.file.param.allowed.paths": dir,
		"config.providers.dir.class": pkg + "DirectoryConfigProvider", "config.providers.dir.param.allowed.paths": dir,
		"config.providers.env.class": pkg + "EnvVarConfigProvider", "config.providers.env.param.allowlist.pattern": "MR_.*",
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestResolve(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "db.properties"), "# secrets\nuser = bob\npassword: s3\\:cr\\u0065t\nlong=a\\\n   b\n")
	write(t, filepath.Join(dir, "token"), "whole file\n")
	t.Setenv("MR_HOST", "db.local")
	s := set(t, dir)
	in := map[string]string{
		"url":      "jdbc://${env:MR_HOST}/x?u=${file:" + dir + "/db.properties:user}",
		"password": "${file:" + dir + "/db.properties:password}",
		"long":     "${file:" + dir + "/db.properties:long}",
		"token":    "${dir:" + dir + ":token}",
		"plain":    "$notone {x:y}",
	}
	before := maps.Clone(in)
	got, err := s.Resolve(in)
	if err != nil {
		t.Fatal(err)
	}
	for k, want := range map[string]string{
		"url": "jdbc://db.local/x?u=bob", "password": "s3:cret", "long": "ab", "token": "whole file\n", "plain": "$notone {x:y}",
	} {
		if got[k] != want {
			t.Errorf("%s is %q, want %q", k, got[k], want)
		}
	}
	if !maps.Equal(in, before) {
		t.Error("the config itself was changed")
	}
	tasks := s.Unresolve(in, map[string]string{"db.password": "s3:cret", "other": "bob"})
	if tasks["db.password"] != in["password"] || tasks["other"] != "bob" {
		t.Errorf("task config %v; want the password as its variable", tasks)
	}
	if text := s.Hide(in, "cannot log in with s3:cret"); strings.Contains(text, "s3:cret") {
		t.Errorf("%q holds the secret", text)
	}
}

func TestWhatCannotBeResolvedIsSaid(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.properties"), "k=v\n")
	outside := filepath.Join(t.TempDir(), "b.properties")
	write(t, outside, "k=v\n")
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	s := set(t, dir)
	for value, want := range map[string]string{
		"${vault:secret/x:k}":                 `no config provider is named "vault"`,
		"${file:" + dir + "/a.properties:no}": `has no key "no"`,
		"${file:" + dir + "/none:k}":          "no such file",
		"${file:" + outside + ":k}":           "not under allowed.paths",
		"${file:" + dir + "/link:k}":          "not under allowed.paths",
		"${dir:" + dir + ":../x}":             "a directory and a file in it",
		"${env:PATH}":                         "does not match allowlist.pattern",
		"${env:MR_UNSET}":                     "is not set on this worker",
	} {
		_, err := s.Resolve(map[string]string{"password": value})
		var e *Error
		if !errors.As(err, &e) || e.Key != "password" || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", value, err, want)
		}
	}
}

func TestUnknownProviderClassIsRefused(t *testing.T) {
	_, err := New(map[string]string{"config.providers": "v", "config.providers.v.class": "com.example.Vault"})
	if err == nil || !strings.Contains(err.Error(), "com.example.Vault") || !strings.Contains(err.Error(), "FileConfigProvider") {
		t.Errorf("err %v; want one that names the class and those that exist", err)
	}
}

func TestProperties(t *testing.T) {
	for text, want := range map[string]string{
		"k=v": "v", "k:v": "v", "k v": "v", "k = v ": "v ", "k\tv": "v", "  k=v": "v", "k=": "", "k": "",
		"#c\n!c\nk=v#x": "v#x", "k=a\\\\": "a\\", "k=a\\\r\n b": "ab", "k=\\=x": "=x", "k=\\u00e9": "é",
	} {
		got, err := ParseProperties(text)
		if err != nil || got["k"] != want || len(got) != 1 {
			t.Errorf("%q gives %v, %v; want k=%q", text, got, err, want)
		}
	}
	if got, err := ParseProperties(`a\ b\:c=1`); err != nil || got["a b:c"] != "1" {
		t.Errorf("escaped key: %v, %v", got, err)
	}
	if _, err := ParseProperties(`k=\u12`); err == nil {
		t.Error(`a torn \u escape was taken in`)
	}
}

func FuzzProperties(f *testing.F) {
	f.Add("a=b\\\nc=d")
	f.Add("k\\")
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = ParseProperties(text) // must only not panic
		_, _ = (Set{}).Resolve(map[string]string{"k": text})
	})
}
