// Members of a JSON text whose values nobody is to see. Not a parser: it walks over the text, and what is not
// JSON goes on as it is. Names are compared as they are written, so one with an escape (\u0073) is another.
#pragma once
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

class Masker {
 public:
  Masker(std::string_view text, const std::vector<std::string>& names) : text_(text), names_(names) {}

  std::string masked() {
    while (at_ < text_.size()) {
      if (text_[at_] != '"') {
        out_ += text_[at_++];
        continue;
      }
      const std::string_view word = string();
      out_ += word;
      if (is_name(word) && colon()) mask_value();
    }
    return std::move(out_);
  }

 private:
  // With its quotes; what is open at the end goes to the end.
  std::string_view string() {
    const size_t begin = at_++;
    while (at_ < text_.size() && text_[at_] != '"') at_ += text_[at_] == '\\' ? 2 : 1;
    at_ = std::min(at_ + 1, text_.size());
    return text_.substr(begin, at_ - begin);
  }
  bool is_name(std::string_view word) const {
    return word.size() >= 2 &&
           std::find(names_.begin(), names_.end(), word.substr(1, word.size() - 2)) != names_.end();
  }
  void space() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos)
      out_ += text_[at_++];
  }
  bool colon() {
    space();
    if (at_ >= text_.size() || text_[at_] != ':') return false;
    out_ += text_[at_++];
    space();
    return true;
  }
  // A value of any kind, lists and objects with all that is in them.
  void mask_value() {
    size_t depth = 0;
    do {
      if (at_ >= text_.size()) break;
      const char c = text_[at_];
      if (c == '"') {
        string();
        continue;
      }
      if (depth == 0 && (c == ',' || c == '}' || c == ']' || c == '\n' || c == ' ')) break;
      if (c == '{' || c == '[') ++depth;
      if (c == '}' || c == ']') --depth;
      ++at_;
    } while (depth > 0 || scalar_goes_on());
    out_ += "\"***\"";
  }
  bool scalar_goes_on() const {
    return at_ < text_.size() && std::string_view(",}] \t\r\n").find(text_[at_]) == std::string_view::npos;
  }

  std::string_view text_;
  const std::vector<std::string>& names_;
  std::string out_;
  size_t at_ = 0;
};
