package logtail

import (
	"path/filepath"

	"github.com/fsnotify/fsnotify"
)

// watch has the kernel wake the task early. Polling finds everything without
// it, only later.
func (t *task) watch() {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		t.log.Warn("changes of files are polled for", "err", err)
		return
	}
	t.watcher, t.watched = w, make(map[string]bool)
}

// events takes in what the kernel has told meanwhile.
func (t *task) events() {
	if t.watcher == nil {
		return
	}
	for {
		select {
		case e := <-t.watcher.Events:
			t.event(e)
		case err := <-t.watcher.Errors:
			t.overflow(err)
		default:
			return
		}
	}
}

// event has a file read that was written to, and looks for files where names
// changed.
func (t *task) event(e fsnotify.Event) {
	if e.Has(fsnotify.Write) {
		if f := t.paths[e.Name]; f != nil {
			t.enqueue(f)
			return
		}
	}
	if e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename) {
		delete(t.watched, e.Name) // a directory that is made again is watched again
	}
	if e.Has(fsnotify.Create) || e.Has(fsnotify.Rename) || e.Has(fsnotify.Remove) {
		t.wanted = true
	}
}

// overflow deals with a queue of events that ran over: a scan finds what was
// missed.
func (t *task) overflow(err error) {
	t.wanted = true
	t.log.Debug("file watcher", "err", err)
}

// watchDirs asks the kernel to tell of changes where files were found.
func (t *task) watchDirs(sights []sighting) {
	if t.watcher == nil {
		return
	}
	for _, s := range sights {
		t.watchDir(filepath.Dir(s.path))
	}
	for _, g := range t.include {
		t.watchDir(g.root)
	}
}

// watchDir watches a directory once. One that cannot be is polled, as all are.
func (t *task) watchDir(dir string) {
	if t.watched[dir] {
		return
	}
	if err := t.watcher.Add(dir); err != nil {
		t.log.Debug("changes in a directory are polled for", "path", dir, "err", err)
		return
	}
	t.watched[dir] = true
}
