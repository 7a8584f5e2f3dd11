// Package report draws results: as text for a terminal, as Markdown, as one self-contained HTML page, and as
// JUnit XML. What is drawn is a [Document]; the commands fill it from their results.
package report
