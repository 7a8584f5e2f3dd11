// Package score counts how often a classifier is right.
package score

import (
	"fmt"
	"math"

	"github.com/effml/effml/internal/job"
)

// Outcome says what the numbers are that a classifier gives for the classes.
type Outcome uint8

// The outcomes.
const (
	Logits           Outcome = iota // of any size, before a softmax
	Probabilities                   // after it
	LogProbabilities                // their logarithms
)

// Metrics adds up how well a classifier's answers fit the labels. The zero value is ready; it is not safe for concurrent use.
// Without labels only the samples are counted.
type Metrics struct {
	Classes int
	Samples int
	Top1    int     // the label has the greatest number; of equal ones the first class counts
	Top5    int     // the label is among the five greatest
	Loss    float64 // sum of the cross-entropies in nats
	// Confusion[label·Classes+answer] counts samples.
	Confusion []int
}

// Prediction is the answer to one sample.
type Prediction struct {
	Label  int        // −1 where it is not known; Loss is 0 then
	Best   [5]int     // classes, the best first; −1 where there are fewer than five
	Scores [5]float32 // probabilities of those
	Loss   float64
}

// Add takes the numbers [n, classes] that a model gave for n samples, and calls each, if it is not nil, with every prediction.
// Labels are n classes, or nil where they are not known. An answer that is NaN loses against every number.
func (m *Metrics) Add(n int, scores []float32, what Outcome, labels []int64, each func(i int, p Prediction)) error {
	if n == 0 {
		return nil
	}
	if len(scores)%n != 0 || labels != nil && len(labels) != n {
		return fmt.Errorf("score: %d numbers and %d labels for %d samples", len(scores), len(labels), n)
	}
	classes := len(scores) / n
	if m.Classes == 0 {
		m.Classes, m.Confusion = classes, make([]int, classes*classes)
	}
	if classes != m.Classes {
		return fmt.Errorf("score: %d classes after %d", classes, m.Classes)
	}
	for i := range n {
		label := -1
		if labels != nil {
			if label = int(labels[i]); label < 0 || label >= classes {
				return fmt.Errorf("score: label %d where the model has %d classes", label, classes)
			}
		}
		p := predict(scores[i*classes:(i+1)*classes], what, label)
		m.Samples++
		if labels != nil {
			m.count(p)
		}
		if each != nil {
			each(i, p)
		}
	}
	return nil
}

// count compares an answer with its label.
func (m *Metrics) count(p Prediction) {
	m.Loss += p.Loss
	m.Confusion[p.Label*m.Classes+p.Best[0]]++
	for k, c := range p.Best {
		if c == p.Label {
			m.Top5++
			if k == 0 {
				m.Top1++
			}
		}
	}
}

func predict(scores []float32, what Outcome, label int) Prediction {
	p := Prediction{Label: label, Best: [5]int{-1, -1, -1, -1, -1}}
	for c, v := range scores {
		at := len(p.Best)
		for at > 0 && (p.Best[at-1] < 0 || beats(v, scores[p.Best[at-1]])) {
			at--
		}
		if at < len(p.Best) {
			copy(p.Best[at+1:], p.Best[at:])
			p.Best[at] = c
		}
	}
	log := logProbability(scores, what)
	if label >= 0 {
		p.Loss = -log(label)
	}
	for k, c := range p.Best {
		if c >= 0 {
			p.Scores[k] = float32(math.Exp(log(c)))
		}
	}
	return p
}

func beats(a, b float32) bool { return a > b || b != b && a == a }

// logProbability returns the logarithm of each class's probability.
func logProbability(scores []float32, what Outcome) func(class int) float64 {
	switch what {
	case Probabilities:
		return func(c int) float64 { return math.Log(float64(scores[c])) }
	case LogProbabilities:
		return func(c int) float64 { return float64(scores[c]) }
	}
	top := math.Inf(-1)
	for _, v := range scores {
		top = max(top, float64(v))
	}
	sum := 0.0
	for _, v := range scores {
		sum += math.Exp(float64(v) - top)
	}
	norm := top + math.Log(sum)
	return func(c int) float64 { return float64(scores[c]) - norm }
}

// Top1Percent is the share of the samples whose class got the greatest number.
func (m *Metrics) Top1Percent() float64 { return Percent(m.Top1, m.Samples) }

// Top5Percent is the share of the samples whose class is among the five greatest numbers.
func (m *Metrics) Top5Percent() float64 { return Percent(m.Top5, m.Samples) }

// MeanLoss is the mean of the cross-entropies in nats.
func (m *Metrics) MeanLoss() job.Float { return job.Float(m.Loss / float64(max(m.Samples, 1))) }

// Percent is part of whole in percent; 0 of nothing.
func Percent(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}

// Class is how well a classifier does on one class.
type Class struct {
	Class, Samples int
	Top1           float64 // percent
}

// PerClass returns the accuracy of every class that has samples.
func (m *Metrics) PerClass() (classes []Class) {
	for c := range m.Classes {
		row := m.Confusion[c*m.Classes : (c+1)*m.Classes]
		n := 0
		for _, k := range row {
			n += k
		}
		if n > 0 {
			classes = append(classes, Class{c, n, Percent(row[c], n)})
		}
	}
	return classes
}
