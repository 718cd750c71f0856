package rebalance

import (
	"cmp"
	"maps"
	"slices"

	"github.com/millrace/millrace/connect/connector"
)

// Object is the task number that stands for the connector object itself, in
// Work and in the protocol.
const Object = -1

// ObjectOf returns the item of a connector's object.
func ObjectOf(name string) connector.TaskID {
	return connector.TaskID{Connector: name, Task: Object}
}

// Work is a set of connector objects and tasks.
type Work map[connector.TaskID]bool

// Sorted returns the items by connector, the object before the tasks, which
// come by number.
func (w Work) Sorted() []connector.TaskID {
	return slices.SortedFunc(maps.Keys(w), func(a, b connector.TaskID) int {
		return cmp.Or(cmp.Compare(a.Connector, b.Connector), cmp.Compare(a.Task, b.Task))
	})
}

// Clone returns a copy that can be changed freely.
func (w Work) Clone() Work {
	out := make(Work, len(w))
	maps.Copy(out, w)
	return out
}

// add puts in all of o.
func (w Work) add(o Work) {
	for i := range o {
		w[i] = true
	}
}

// remove takes out all of o.
func (w Work) remove(o Work) {
	for i := range o {
		delete(w, i)
	}
}

// minus returns what is in w and in none of others.
func (w Work) minus(others ...Work) Work {
	out := w.Clone()
	for _, o := range others {
		out.remove(o)
	}
	return out
}

// and returns what is in both.
func (w Work) and(o Work) Work {
	out := Work{}
	for i := range w {
		if o[i] {
			out[i] = true
		}
	}
	return out
}

// kind tells connector objects from tasks: the two are balanced apart.
type kind bool

const (
	objects kind = true
	tasks   kind = false
)

func kindOf(id connector.TaskID) kind { return id.Task == Object }

// of returns the items of one kind, sorted.
func (w Work) of(k kind) []connector.TaskID {
	return slices.DeleteFunc(w.Sorted(), func(id connector.TaskID) bool { return kindOf(id) != k })
}

// count returns how many items are of a kind.
func (w Work) count(k kind) int {
	n := 0
	for id := range w {
		if kindOf(id) == k {
			n++
		}
	}
	return n
}
