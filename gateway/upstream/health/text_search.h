// Whether a text occurs in a body that comes in pieces. Holds as many bytes as the text has, at most.
#pragma once
#include <string>
#include <string_view>

namespace penstock::upstream {

class TextSearch {
 public:
  explicit TextSearch(std::string_view text) : text_(text), found_(text.empty()) {}  // borrowed

  void feed(std::string_view piece) {
    if (found_) return;
    // Over the seam: the end of what came before, and as much of this as could complete it.
    size_t before = seam_.size();
    seam_ += piece.substr(0, text_.size() - 1);
    found_ = seam_.find(text_) != seam_.npos || piece.find(text_) != piece.npos;
    if (piece.size() >= text_.size() - 1)
      seam_ = piece.substr(piece.size() - (text_.size() - 1));
    else if (before + piece.size() > text_.size() - 1)
      seam_.erase(0, before + piece.size() - (text_.size() - 1));
  }
  bool found() const { return found_; }

 private:
  std::string_view text_;
  std::string seam_;
  bool found_;
};

}  // namespace penstock::upstream
