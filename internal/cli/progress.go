package cli

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/effml/effml/internal/report"
	"github.com/effml/effml/train"
)

// lineEvery is how often a job whose output is no terminal says how far it is.
const lineEvery = 5 * time.Second

// progress draws events on stderr: a bar on a terminal, else a line every few seconds.
type progress struct {
	w       io.Writer
	bars    bool // animate
	lines   bool // where there are no bars, say now and then how far the stage is
	verbose bool // say what each stage took
	now     func() time.Time

	mu       sync.Mutex
	bar      *progressbar.ProgressBar
	stage    string
	unit     string
	total    int64
	done     int64
	began    time.Time
	lastLine time.Time
	notes    []string
	step     train.Progress // of a training
}

// newProgress reads the settings: quiet and no-progress silence it, verbose adds a line at each stage's end.
func (a *app) newProgress() *progress {
	s := a.settings
	show := !s.quiet && !s.noProgress
	return &progress{
		w: a.stderr, now: time.Now, verbose: s.verbose && !s.quiet, lines: show,
		bars: show && isTerminal(a.stderr) && os.Getenv("TERM") != "dumb",
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Stage implements [job.Events].
func (p *progress) Stage(name string, total int64, unit string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endStage()
	p.stage, p.total, p.unit, p.done = name, total, unit, 0
	p.began = p.now()
	p.lastLine = p.began
	if !p.bars {
		return
	}
	if total <= 0 {
		total = -1 // a spinner
	}
	p.bar = progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(p.w), progressbar.OptionSetDescription(name), progressbar.OptionSetWidth(24),
		progressbar.OptionShowBytes(unit == "B"), progressbar.OptionShowTotalBytes(true), progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
}

// Advance implements [job.Events].
func (p *progress) Advance(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += n
	if p.bar != nil {
		_ = p.bar.Add64(n) // a bar that overruns its total is no reason to fail
		return
	}
	if !p.lines || p.stage == "" {
		return
	}
	if now := p.now(); now.Sub(p.lastLine) >= lineEvery {
		p.lastLine = now
		say(p.w, "effml: %s: %s\n", p.stage, p.amount())
	}
}

// amount words how far the stage is.
func (p *progress) amount() string {
	if p.step.Steps > 0 && p.stage == trainStage {
		return stepWords(p.step)
	}
	text := func(n int64) string {
		if p.unit == "B" {
			return report.Size(n)
		}
		return report.Count(n)
	}
	unit := ""
	if p.unit != "B" && p.unit != "" {
		unit = " " + p.unit
	}
	if p.total <= 0 {
		return text(p.done) + unit
	}
	return fmt.Sprintf("%d %% (%s of %s%s)", 100*p.done/p.total, text(p.done), text(p.total), unit)
}

// Note implements [job.Events]. Notes wait for the result, which may hold them too.
func (p *progress) Note(msg string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.notes = append(p.notes, msg)
}

// finish ends the last stage, takes a bar from the screen and returns the notes.
func (p *progress) finish() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endStage()
	return p.notes
}

func (p *progress) endStage() {
	if p.bar != nil {
		_ = p.bar.Clear()
		_ = p.bar.Exit() // stops without drawing a full bar
		p.bar = nil
	}
	if p.verbose && p.stage != "" {
		say(p.w, "effml: %s: %s in %.2f s\n", p.stage, p.amount(), p.now().Sub(p.began).Seconds())
	}
	p.stage = ""
}

// trainStage is the stage of all steps of a training.
const trainStage = "train"

// Step implements [train.Events].
func (p *progress) Step(step train.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.step = step
	if p.bar != nil && p.stage == trainStage {
		now := p.now()
		if now.Sub(p.lastLine) < 200*time.Millisecond {
			return
		}
		p.lastLine = now
		p.bar.Describe(stepWords(step))
	}
}

// Row implements [train.Events]: an epoch is worth a line on any output.
func (p *progress) Row(m train.Metrics) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.lines {
		return
	}
	if p.bar != nil {
		_ = p.bar.Clear() // it is drawn again
	}
	text := fmt.Sprintf("epoch %d: loss %.4g", m.Epoch, float64(m.Loss))
	if m.Top1 != nil {
		text += fmt.Sprintf(", top-1 %.2f %%", *m.Top1)
	}
	if m.Val != nil {
		text += fmt.Sprintf("; validation: loss %.4g, top-1 %.2f %%", float64(m.Val.Loss), m.Val.Top1)
	}
	if m.Best {
		text += ", the best so far"
	}
	say(p.w, "effml: %s; %s\n", text, rate(m.SamplesPerS))
}

// stepWords says how far a training is, and how well it goes.
func stepWords(s train.Progress) string {
	text := fmt.Sprintf("epoch %d of %d, step %s of %s, loss %.4f", s.Epoch, s.Epochs, report.Count(int64(s.Step)), report.Count(int64(s.Steps)), s.MeanLoss)
	if s.Top1 >= 0 {
		text += fmt.Sprintf(", top-1 %.2f %%", s.Top1)
	}
	return text + fmt.Sprintf(", %s, %s left", rate(s.SamplesPerS), s.Left.Round(time.Second))
}
