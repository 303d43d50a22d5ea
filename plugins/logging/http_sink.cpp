#include "http_sink.h"

namespace logging {
namespace {

// "create" is the one action that data streams take, and as good as any without an id.
std::string action_of(const std::string& index) {
  return index.empty() ? std::string() : R"({"create":{"_index":")" + index + "\"}}\n";
}

enum class Fate { taken, refused, again };

// Of an answer, and of each item of a bulk answer.
Fate fate_of(long status) {
  if (status >= 200 && status < 300) return Fate::taken;
  return status == 429 || status == 408 || status >= 500 || status == 0 ? Fate::again : Fate::refused;
}

}  // namespace

void Batch::add(std::string_view line) {
  text_ += action_;
  text_ += line;
  text_ += '\n';
  ends_.push_back(text_.size());
}

void Batch::clear() {
  text_.clear();
  ends_.clear();
}

HttpSink::HttpSink(const CurlLibrary& curl, HttpSettings settings, Report& report, Ending& ending)
    : settings_(std::move(settings)),
      name_(settings_.target.url.substr(0, settings_.target.url.find('?'))),
      report_(report),
      ending_(ending),
      client_(curl, settings_.target, ending),
      outage_(report),
      batch_(action_of(settings_.index)) {}

void HttpSink::take(Ring::Span span) {
  Lines lines(span);
  for (std::string_view line; lines.next(line);) {
    if (batch_.empty()) due_ = Clock::now() + settings_.flush_interval;
    batch_.add(line);
    if (batch_.body().size() >= settings_.batch) deliver();
  }
}

std::optional<Clock::time_point> HttpSink::settle(Settle how) {
  if (batch_.empty()) return std::nullopt;
  if (how == Settle::usual && Clock::now() < due_) return due_;
  deliver();
  return std::nullopt;
}

// Until every record of the batch was taken, refused or given up.
void HttpSink::deliver() {
  Backoff backoff(settings_.retry);
  while (!ending_.over()) {
    const HttpClient::Answer answer = client_.post(batch_.body());
    judge(answer);
    if (batch_.empty()) return;
    const auto wait = backoff.next(answer.retry_after);
    if (!wait) {
      report_.lost(Loss::unavailable, batch_.count());
      return batch_.clear();
    }
    if (!ending_.pause(*wait)) break;
    report_.retried();
  }
  report_.lost(Loss::shutdown, batch_.count());
  batch_.clear();
}

void HttpSink::judge(const HttpClient::Answer& answer) {
  switch (fate_of(answer.status)) {
    case Fate::again:
      say_failed(answer.status == 0 ? answer.error : "it answers " + std::to_string(answer.status));
      return;
    case Fate::refused:
      refuse(batch_.count(), "status " + std::to_string(answer.status));
      return batch_.clear();
    case Fate::taken: break;
  }
  if (!settings_.index.empty()) return judge_items(answer);
  say_recovered();
  batch_.clear();
}

void HttpSink::judge_items(const HttpClient::Answer& answer) {
  const auto items = answer.cut ? std::nullopt : read_bulk_answer(answer.body, batch_.count());
  if (!items || items->statuses.size() != batch_.count()) {
    // What became of them is not known: sending them again would write some twice, again and again.
    refuse(batch_.count(),
           answer.cut ? "its answer is longer than http.max_answer" : "no answer of the bulk form");
    return batch_.clear();
  }
  uint64_t refused = 0;
  batch_.retain([&](size_t i) {
    const Fate fate = items->statuses[i] == 0 ? Fate::refused : fate_of(items->statuses[i]);
    if (fate == Fate::refused) ++refused;
    return fate == Fate::again;
  });
  if (refused > 0) refuse(refused, items->first_error.empty() ? "errors of records" : items->first_error);
  if (!batch_.empty()) say_failed("it takes only some records: " + items->first_error);
  if (batch_.empty() && refused == 0) say_recovered();
}

void HttpSink::refuse(uint64_t lines, const std::string& why) {
  report_.lost(Loss::refused, lines);
  say_failed("it refuses records: " + why);
}

void HttpSink::say_failed(const std::string& why) {
  outage_.failed("the access log's receiver " + name_ + " fails: " + why);
}

void HttpSink::say_recovered() {
  outage_.recovered("the access log's receiver " + name_ + " takes records again");
}

}  // namespace logging
