#include "config/yaml_reader.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <sstream>  // yaml-cpp's parser takes nothing else
#include <string>
#include <unordered_map>
#include <utility>

#include "config/parse_values.h"
#include "config/wording.h"

namespace penstock::config {
namespace {

constexpr size_t max_depth = 64;           // the language itself needs about 10
constexpr size_t max_expansions = 10'000;  // of aliases, those inside expanded ones included
constexpr size_t max_values = 1'000'000;   // after expansion; 10,000 routes are about 300,000
constexpr size_t max_expanded_bytes = 64u << 20;

// Stops yaml-cpp from inside a callback; caught in read_yaml.
struct Refused {
  std::string_view code;
  Position at;
  std::string message;
};

// What an anchor stands for: the finished node, what a copy of it costs, where its text stands.
struct Anchored {
  Node node;
  size_t expansions = 0;
  size_t values = 0;
  size_t bytes = 0;
  SecretSpan span;
};

// What of a collection may be printed. Under credentials and in their list of token subjects the keys may.
// What stands under `key` may name a private key's file or an attribute to count by.
enum class Privacy : uint8_t { open, credentials, subjects, key, secret };

// What `key` stands for: a file in the certificates of a listener or an upstream, an attribute elsewhere.
enum class KeyKind : uint8_t { file, attribute };

struct Frame {
  Node node;
  YAML::anchor_t anchor = 0;
  Privacy privacy = Privacy::open;
  bool holds_names = false;  // its keys are names of plugins or upstreams
  bool has_key = false;      // a map's key was read, its value comes next
  std::string key;
  Position key_at;
  std::unordered_map<std::string, Position> seen;
  size_t expansions = 0, values = 1, bytes = 0;
};

// What stands under `key` in a collection of that privacy.
Privacy privacy_below(Privacy here, std::string_view key) {
  if (here == Privacy::credentials && key == "jwt") return Privacy::subjects;
  if (here != Privacy::open) return Privacy::secret;
  if (key == credentials_key) return Privacy::credentials;
  const std::string_view word = secret_word(key);
  if (word.empty()) return Privacy::open;
  return word == "key" ? Privacy::key : Privacy::secret;
}

// A key file's path is no secret, the text of a key is; base64 knows no dot and no key begins with a slash.
bool looks_like_path(std::string_view text) {
  constexpr size_t longest = 255;
  return is_file_name(text) && text.size() <= longest && text.find("-----") == text.npos &&
         (text.starts_with('/') || text.find('.') != text.npos) && text.find_first_of(" +=") == text.npos;
}

bool hides(Privacy privacy, KeyKind kind, std::string_view text) {
  if (privacy != Privacy::key) return privacy != Privacy::open;
  return kind == KeyKind::file ? !looks_like_path(text) : !parse_attribute(text).has_value();
}

// "${file:a}" and the like show nothing by themselves; a default after ":-" would.
bool is_bare_reference(std::string_view text) {
  const bool known = text.starts_with("${env:") || text.starts_with("${file:") || text.starts_with("${cred:");
  return known && text.find('}') == text.size() - 1 && text.find(":-") == text.npos;
}

bool hides_keys(Privacy privacy) { return privacy == Privacy::key || privacy == Privacy::secret; }

void mark_alias(Node& node, Position alias_at, Privacy privacy, KeyKind kind) {
  node.alias_at = alias_at;
  if (node.is_scalar() && hides(privacy, kind, node.text)) node.secret = true;
  for (Node& child : node.children) {
    if (node.is_map() && hides_keys(privacy)) child.secret_key = true;
    mark_alias(child, alias_at, node.is_list() ? privacy : privacy_below(privacy, child.key), kind);
  }
}

class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(uint32_t file, std::string_view text, Diagnostics& diagnostics,
              std::vector<SecretSpan>& secrets)
      : file_(file), text_(text), diagnostics_(diagnostics), secrets_(secrets) {}

  Node take_root() { return std::move(root_); }
  bool has_root() const { return has_root_; }

  // yaml-cpp takes a quote that is never closed for good when the file ends with its line.
  void check_last_quote() const {
    if (!last_quoted_) return;
    size_t begin = last_offset_;
    while (begin < text_.size() && (text_[begin] == '&' || text_[begin] == '!'))  // an anchor or a tag
      begin = std::min(text_.find_first_not_of(" \n", text_.find_first_of(" \n", begin)), text_.size());
    const std::string_view scalar = text_.substr(begin);
    if (!scalar.empty() && (scalar[0] == '"' || scalar[0] == '\'') && quoted_length(scalar) == 0)
      throw Refused{"syntax", last_at_, "the quote is never closed"};
  }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (documents_++ > 0)
      throw Refused{"second-document", place(mark), "a second document, one file holds one document"};
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    close_spans(place(mark));
    Node node;
    node.at = place(mark);
    if (!frames_.empty()) {
      const Frame& top = frames_.back();
      // The mark of an empty value is that of whatever follows it.
      node.at = top.has_key ? top.key_at : top.node.at;
    }
    finish(std::move(node), anchor, {});
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const Position at = place(mark);
    close_spans(at);
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) throw Refused{"alias", at, "the alias stands inside its own anchor"};
    const Anchored& source = found->second;
    expansions_ += 1 + source.expansions;
    expanded_bytes_ += source.bytes;
    values_ += source.values;
    if (expansions_ > max_expansions || expanded_bytes_ > max_expanded_bytes || values_ > max_values)
      throw Refused{"alias-limit", at, fmt::format("over {} alias expansions", max_expansions)};
    const Privacy privacy = privacy_here();
    Node node = source.node;
    node.key_at = {};
    mark_alias(node, at, privacy, key_kind());
    if (privacy != Privacy::open) secrets_.push_back(source.span);
    finish(std::move(node), 0, {1 + source.expansions, source.values, source.bytes});
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    close_spans(place(mark));
    Node node;
    node.kind = NodeKind::scalar;
    node.at = place(mark);
    node.quoted = check_tag(tag, node.at);
    last_quoted_ = node.quoted;
    last_offset_ = std::min(static_cast<size_t>(std::max(mark.pos, 0)), text_.size());
    last_at_ = node.at;
    node.text = value;
    if (++values_ > max_values) throw Refused{"too-large", node.at, "too many values"};
    if (expects_key() ? hides_keys(frames_.back().privacy) : hides(privacy_here(), key_kind(), value)) {
      node.secret = true;
      if (!is_bare_reference(value)) add_secret(node, anchor != 0);
    }
    const size_t bytes = value.size();
    finish(std::move(node), anchor, {0, 1, bytes});
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(NodeKind::list, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(NodeKind::map, mark, tag, anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Cost {
    size_t expansions = 0, values = 1, bytes = 0;
  };

  Position place(const YAML::Mark& mark) const {
    return {file_, static_cast<uint32_t>(mark.line + 1), static_cast<uint32_t>(mark.column + 1)};
  }

  bool expects_key() const {
    return !frames_.empty() && frames_.back().node.is_map() && !frames_.back().has_key;
  }

  // Of the value that comes next.
  Privacy privacy_here() const {
    if (frames_.empty()) return Privacy::open;
    const Frame& top = frames_.back();
    if (!top.has_key || top.holds_names) return top.privacy;
    return privacy_below(top.privacy, top.key);
  }

  KeyKind key_kind() const {
    if (frames_.empty() || frames_[0].key == "plugins") return KeyKind::attribute;
    const bool file = std::any_of(frames_.begin(), frames_.end(), [](const Frame& frame) {
      return frame.key == "certificates" || frame.key == "tls";
    });
    return file ? KeyKind::file : KeyKind::attribute;
  }

  std::string_view shown_key(const Frame& frame) const {
    return hides_keys(frame.privacy) ? hidden_text : std::string_view(frame.key);
  }

  // Answers whether the scalar is quoted (or said to be a string).
  bool check_tag(const std::string& tag, Position at) {
    if (tag.empty() || tag == "?") return false;
    if (tag == "!" || tag == "tag:yaml.org,2002:str") return true;
    diagnostics_.error("tag", at, path(), fmt::format("the YAML tag {} is not allowed", tag));
    return false;
  }

  void open(NodeKind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    const Position at = place(mark);
    close_spans(at);
    check_tag(tag, at);
    if (frames_.size() >= max_depth)
      throw Refused{"too-deep", at, fmt::format("nested deeper than {} levels", max_depth)};
    if (++values_ > max_values) throw Refused{"too-large", at, "too many values"};
    Frame frame;
    frame.privacy = privacy_here();
    frame.holds_names = frames_.size() == 1 && (frames_[0].key == "plugins" || frames_[0].key == "upstreams");
    frame.node.kind = kind;
    frame.node.at = at;
    frame.anchor = anchor;
    frames_.push_back(std::move(frame));
  }

  void close() {
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    finish(std::move(frame.node), frame.anchor, {frame.expansions, frame.values, frame.bytes});
  }

  void finish(Node node, YAML::anchor_t anchor, Cost cost) {
    if (anchor != 0) {
      anchors_[anchor] = {node, cost.expansions, cost.values, cost.bytes, {node.at, 0, {}}};
      open_anchors_.push_back(anchor);
      values_ += cost.values;  // the copy counts too
      if (values_ > max_values) throw Refused{"too-large", anchors_[anchor].node.at, "too many values"};
    }
    if (frames_.empty()) {
      root_ = std::move(node);
      has_root_ = true;
      return;
    }
    Frame& top = frames_.back();
    top.expansions += cost.expansions;
    top.values += cost.values;
    top.bytes += cost.bytes;
    if (top.node.is_list()) {
      top.node.children.push_back(std::move(node));
    } else if (!top.has_key) {
      take_key(top, node);
    } else {
      take_value(top, std::move(node));
    }
  }

  void take_key(Frame& top, const Node& node) {
    top.has_key = true;
    top.key_at = node.alias_at.known() ? node.alias_at : node.at;
    top.key = node.is_scalar() ? node.text : std::string();
    if (!node.is_scalar() || node.text.empty()) {
      top.key.clear();
      diagnostics_.error("bad-key", top.key_at, path(), "a key must be a text");
    } else if (node.text == "<<" && !node.quoted) {
      diagnostics_.error("merge-key", top.key_at, path(), "the merge key '<<' is not allowed").hint =
          "write the keys out, or use defaults";
      top.key.clear();
    } else if (node.text.find("${") != std::string::npos) {
      diagnostics_.error("bad-key", top.key_at, path(), "${...} is not allowed in a key");
    }
  }

  void take_value(Frame& top, Node node) {
    top.has_key = false;
    if (top.key.empty()) return;  // reported as a bad key
    const auto [first, fresh] = top.seen.emplace(top.key, top.key_at);
    if (!fresh) {
      top.has_key = true;  // for the path
      Diagnostic& diagnostic = diagnostics_.error(
          "duplicate-key", top.key_at, path(), fmt::format("'{}' stands here a second time", shown_key(top)));
      diagnostic.related = first->second;
      diagnostic.related_note = "first defined at";
      top.has_key = false;
      return;
    }
    node.key = top.key;
    node.secret_key = hides_keys(top.privacy);
    node.key_at = top.key_at;
    top.node.children.push_back(std::move(node));
  }

  std::string path() const {
    std::string text;
    for (size_t i = 0; i < frames_.size(); ++i) {
      const Frame& frame = frames_[i];
      if (frame.node.is_list())
        text += fmt::format("[{}]", frame.node.children.size());
      else if (frame.has_key)
        text += fmt::format("{}{}", text.empty() ? "" : ".", shown_key(frame));
    }
    return text;
  }

  // How far a secret reaches on its first line, and, if it goes on, that it does until the next event.
  void add_secret(const Node& node, bool anchored) {
    SecretSpan span{node.at, 0, {}};
    const std::string_view rest = line_from(node.at);
    if (anchored) {
      // The mark is the anchor's: mask all until the next event.
    } else if (!node.quoted) {
      if (rest.starts_with(node.text)) span.length = static_cast<uint32_t>(node.text.size());
    } else if (!rest.empty()) {
      span.length = static_cast<uint32_t>(quoted_length(rest));
    }
    if (span.length != 0) span.until = span.from;
    secrets_.push_back(span);
  }

  // Spans that reach to the next event end here.
  void close_spans(Position at) {
    if (!secrets_.empty() && !secrets_.back().until.known()) secrets_.back().until = at;
    for (const YAML::anchor_t anchor : open_anchors_) anchors_[anchor].span.until = at;
    open_anchors_.clear();
  }

  std::string_view line_from(Position at) {
    while (line_ < at.line) {
      const size_t end = text_.find('\n', line_start_);
      if (end == text_.npos) return {};
      line_start_ = end + 1;
      ++line_;
    }
    if (line_ != at.line) return {};
    const size_t begin = line_start_ + at.column - 1;
    if (begin > text_.size()) return {};
    return text_.substr(begin, text_.find('\n', begin) - begin);
  }

  const uint32_t file_;
  const std::string_view text_;
  Diagnostics& diagnostics_;
  std::vector<SecretSpan>& secrets_;
  std::vector<Frame> frames_;
  std::unordered_map<YAML::anchor_t, Anchored> anchors_;
  std::vector<YAML::anchor_t> open_anchors_;  // finished, their text's end not seen yet
  Node root_;
  bool has_root_ = false;
  size_t documents_ = 0, expansions_ = 0, values_ = 0, expanded_bytes_ = 0;
  bool last_quoted_ = false;  // the last scalar so far
  size_t last_offset_ = 0;
  Position last_at_;
  uint32_t line_ = 1;  // line_from reads forwards only
  size_t line_start_ = 0;
};

}  // namespace

size_t quoted_length(std::string_view text) {
  const char quote = text.empty() ? '\0' : text[0];
  if (quote != '"' && quote != '\'') return 0;
  for (size_t i = 1; i < text.size(); ++i) {
    if (quote == '"' && text[i] == '\\') {
      ++i;
    } else if (text[i] == quote) {
      if (quote == '\'' && i + 1 < text.size() && text[i + 1] == '\'')
        ++i;
      else
        return i + 1;
    }
  }
  return 0;
}

std::optional<Node> read_yaml(uint32_t file, std::string_view text, Diagnostics& diagnostics,
                              std::vector<SecretSpan>& secrets) {
  Diagnostics found;
  TreeBuilder builder(file, text, found, secrets);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {}
    builder.check_last_quote();
  } catch (const Refused& refused) {
    diagnostics.error(refused.code, refused.at, "", refused.message);
    return std::nullopt;
  } catch (const YAML::Exception& error) {
    const Position at{file, static_cast<uint32_t>(error.mark.line + 1),
                      static_cast<uint32_t>(error.mark.column + 1)};
    diagnostics.error("syntax", at, "", error.msg);
    return std::nullopt;
  } catch (const std::exception& error) {
    // The library's containers may throw on input that it does not foresee.
    diagnostics.error("syntax", {file, 1, 1}, "", fmt::format("the YAML cannot be read: {}", error.what()));
    return std::nullopt;
  }
  diagnostics.append(std::move(found));
  Node root = builder.has_root() ? builder.take_root() : Node{};
  if (root.is_null()) {
    root.kind = NodeKind::map;
    root.at = {file, 1, 1};
  }
  if (!root.is_map()) {
    diagnostics.error("wrong-type", root.at, "", "a configuration is a map of keys");
    return std::nullopt;
  }
  return root;
}

}  // namespace penstock::config
