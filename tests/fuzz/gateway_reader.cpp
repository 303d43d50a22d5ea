#include "fuzz/gateway_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "fuzz/targets.h"

namespace penstock::fuzz {
namespace {

using namespace http;
using namespace http::http1;

FieldList copy(const Headers& headers) {
  FieldList out;
  for (const Field& field : headers.fields()) out.emplace_back(field.name, field.value);
  return out;
}

void take_head(Read& out, const Message& message, const Framing& framing) {
  out.head = true;
  out.method = message.method_text;
  out.target = message.target;
  out.path = message.path;
  out.query = message.query;
  out.has_query = message.has_query;
  out.authority = message.authority;
  out.upgrade = message.upgrade;
  out.expect = message.expect_continue;
  out.trailers_accepted = message.accepts_trailers;
  out.status = message.status;
  out.phrase = message.status_text;
  out.minor = message.version == Version::http_1_0 ? 0 : 1;
  out.fields = copy(message.headers);
  out.kind = message.body;
  out.has_length = message.has_content_length;
  out.length = message.content_length;
  out.end = framing.body;
  out.persistent = framing.persistent;
}

// One reading: the parser with its arena, fed piece by piece.
class Reading {
 public:
  Reading(Side side, const Asked& asked) : parser_(side, message_, trailers_, limits) { parser_.ask(asked); }

  // False: nothing more is to be fed.
  bool feed(std::string_view piece) {
    // Exactly so long and gone afterwards: the sanitizers see whoever reads or keeps too much.
    std::unique_ptr<char[]> bytes(new char[piece.size()]);
    std::copy(piece.begin(), piece.end(), bytes.get());
    std::string_view input(bytes.get(), piece.size());
    while (true) {
      Event event = parser_.next(input);
      used_ += piece.size() - input.size();
      piece = piece.substr(piece.size() - input.size());
      switch (event) {
        case Event::more:
          promise(input.empty() || out.outcome == Read::Outcome::whole, "more with input left");
          return true;
        case Event::head:
          take_head(out, message_, parser_.framing());
          if (parser_.complete() || out.end == BodyEnd::tunnel)
            return whole();  // a tunnel is no message any more
          break;
        case Event::informational:
          out.interim.emplace_back(message_.status, copy(message_.headers));
          message_.reset();
          break;
        case Event::data: out.body += parser_.data(); break;
        case Event::end: out.trailers = copy(trailers_); return whole();
        case Event::error: return refused();
      }
    }
  }
  void close() {
    Event event = parser_.finish();
    if (event == Event::end) whole();
    if (event == Event::error) refused();
  }
  Read out;

 private:
  bool whole() {
    out.outcome = Read::Outcome::whole;
    out.size = used_;
    return false;
  }
  bool refused() {
    out.outcome = Read::Outcome::refused;
    out.reason = parser_.error().reason;
    out.text = parser_.error().text;
    promise(!out.reason.empty(), "a refusal without a reason");
    return false;
  }

  BlockPool pool_;
  Arena arena_{pool_};
  Message message_{arena_};
  Headers trailers_{arena_};
  Parser parser_;
  size_t used_ = 0;
};

}  // namespace

std::string Read::show() const {
  static constexpr const char* names[] = {"whole", "partial", "refused"};
  std::string all = fmt::format("{} {} {} head={} {} {} 1.{} {} {} authority={} size={} body={}",
                                names[static_cast<int>(outcome)], reason, text, head, method, target, minor,
                                status, phrase, authority, size, body);
  for (const auto& [name, value] : fields) all += fmt::format("\n  {}: {}", name, value);
  for (const auto& [name, value] : trailers) all += fmt::format("\n  trailer {}: {}", name, value);
  return escaped(all);
}

Read read_message(Side side, std::string_view bytes, Cut cut, Stream stream, const Asked& asked) {
  Reading reading(side, asked);
  uint32_t random = 2654435761u * static_cast<uint32_t>(bytes.size() + 1);
  while (!bytes.empty()) {
    random = random * 1664525u + 1013904223u;
    size_t size = cut == Cut::whole ? bytes.size() : cut == Cut::bytewise ? 1 : 1 + (random >> 24) % 61;
    if (!reading.feed(bytes.substr(0, size))) return reading.out;
    bytes.remove_prefix(std::min(size, bytes.size()));
  }
  if (stream == Stream::closed) reading.close();
  return reading.out;
}

Read read_in_every_way(Side side, std::string_view bytes, Stream stream, const Asked& asked) {
  Read whole = read_message(side, bytes, Cut::whole, stream, asked);
  for (Cut cut : {Cut::bytewise, Cut::irregular}) {
    Read other = read_message(side, bytes, cut, stream, asked);
    Read same = whole;
    if (whole.outcome == Read::Outcome::refused && other.outcome == Read::Outcome::refused) {
      // The same fault may be found by two judges, and a head may break two rules at once: which one is said
      // may depend on the cut where one of them is a limit.
      auto limit = [](const Read& read) {
        return read.reason.ends_with("_too_large") || read.reason.ends_with("_too_long");
      };
      promise(whole.reason == other.reason || limit(whole) || limit(other),
              "the reason depends on how the bytes were cut", whole.show() + "\n" + other.show());
      same.reason = other.reason;
      if (!whole.head) continue;
      same.text = other.text;
    }
    promise(same == other, "the reading depends on how the bytes were cut",
            whole.show() + "\n" + other.show());
  }
  return whole;
}

}  // namespace penstock::fuzz
