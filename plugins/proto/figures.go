package proto

import (
	"cmp"
	"slices"
)

// Figure is something that a task counts of its own work.
type Figure struct {
	Name string // lower case words joined by _
	// Gauge says that the value may fall as well. Else it counts from the start
	// of the task.
	Gauge bool
	Value int64
}

// The bounds of what a task may count, so that no plugin makes the worker's
// metrics grow.
const (
	MaxFigures    = 64
	maxFigureName = 64
)

// ValidFigureName reports whether a figure may have a name.
func ValidFigureName(name string) bool {
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return name != "" && len(name) <= maxFigureName
}

// NewFigureList makes the message of figures.
func NewFigureList(figures []Figure) *FigureList {
	m := &FigureList{}
	for _, f := range figures {
		m.Figures = append(m.Figures, &FigureValue{Name: f.Name, Gauge: f.Gauge, Value: f.Value})
	}
	return m
}

// figureSet holds the latest figures of a task. The zero set has none.
type figureSet struct{ figures []Figure }

func (s *figureSet) take(m *FigureList) error {
	for _, f := range m.GetFigures() {
		if !ValidFigureName(f.GetName()) {
			return protocolErrorf("a figure named %.80q", f.GetName())
		}
		at, ok := slices.BinarySearchFunc(s.figures, f.GetName(), func(f Figure, name string) int { return cmp.Compare(f.Name, name) })
		if !ok {
			if len(s.figures) == MaxFigures {
				return protocolErrorf("more than %d figures", MaxFigures)
			}
			s.figures = slices.Insert(s.figures, at, Figure{Name: f.GetName(), Gauge: f.GetGauge()})
		}
		s.figures[at].Value = f.GetValue()
	}
	return nil
}

func (s *figureSet) list() []Figure { return slices.Clone(s.figures) }
