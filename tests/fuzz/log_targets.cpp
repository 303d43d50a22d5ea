// What the access log makes of clients' bytes, and what it reads of a receiver's.
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "fuzz/targets.h"
#include "logging/bulk_answer.h"
#include "logging/line.h"
#include "logging/records.h"
#include "logging/redaction.h"

namespace penstock::fuzz {
namespace {

using nlohmann::json;

gw_str str(std::string_view text) { return {text.data(), text.size()}; }

// The bytes between newlines, one after the other, go into the record's texts.
struct Texts {
  std::array<std::string_view, 12> part{};
  explicit Texts(std::string_view bytes) {
    for (std::string_view& one : part) {
      const size_t end = bytes.find('\n');
      one = bytes.substr(0, end);
      if (end == std::string_view::npos) break;
      bytes.remove_prefix(end + 1);
    }
  }
};

}  // namespace

// The first byte chooses how long the line may be, and whether a part of the query is masked.
void fuzz_log_line(std::string_view bytes) {
  if (bytes.empty()) return;
  const auto choice = static_cast<uint8_t>(bytes[0]);
  const Texts texts(bytes.substr(1));
  const auto& t = texts.part;
  gw_summary s{};
  s.struct_size = sizeof s;
  s.status = static_cast<uint16_t>(choice * 3);
  s.total_ns = choice * 1'000'003;
  s.first_byte_ns = s.upstream_ns = s.queue_ns = s.auth_ns = s.connect_ns = -1;
  s.route = str(t[9]);
  s.reason = str(t[10]);
  s.endpoint = str(t[11]);
  const logging::Redaction redaction(
      {}, choice & 1 ? std::vector<std::string>{"token"} : std::vector<std::string>{});
  static logging::Line line;
  static logging::SecondText time;
  const size_t limit = choice & 2 ? logging::Line::shortest : logging::Line::capacity;
  line.set_limit(limit);
  line.clear();
  const logging::Facts facts{s, t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7], t[8]};
  logging::write_json(line, facts, redaction, time);
  const std::string_view text = line.text();
  promise(text.size() <= limit && text.ends_with("}\n"), "a line ends, in time", text);
  promise(std::ranges::none_of(text.substr(0, text.size() - 1), [](char c) { return c >= 0 && c < 0x20; }),
          "a line has no control bytes", text);
  const json record = json::parse(text, nullptr, false);
  promise(!record.is_discarded() && record.is_object(), "a line is one object of JSON", text);
  promise(!record.contains("url.path") || record["url.path"].is_string(), "a text stays a text", text);
  line.clear();
  logging::write_combined(line, facts, redaction, time);
  promise(std::ranges::count(line.text(), '\n') == 1 && line.text().ends_with('\n'), "one line", line.text());
}

void fuzz_bulk_answer(std::string_view bytes) {
  constexpr size_t most = 64;
  const auto answer = logging::read_bulk_answer(bytes, most);
  if (!answer) return;
  promise(answer->statuses.size() <= most, "no more items than were sent", bytes);
  promise(answer->first_error.size() <= logging::BulkAnswer::max_type, "an error's name is short", bytes);
  const json whole = json::parse(bytes, nullptr, false);
  promise(whole.is_object(), "what is read is JSON", bytes);
  // Of a key that is there twice, the reader here keeps the last.
  const bool twice = bytes.find("\"items\"") != bytes.rfind("\"items\"") || bytes.find('\\') != bytes.npos;
  if (twice) return;
  size_t objects = 0;
  for (const json& item : whole["items"]) objects += item.is_object() ? 1 : 0;
  promise(objects == answer->statuses.size(), "each item counts once", bytes);
}

}  // namespace penstock::fuzz
