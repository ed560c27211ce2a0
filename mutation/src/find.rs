//! The places of a source file where a fault of one line can be, by its syntax.

use crate::fault::{Fault, Shape};
use std::ops::Range;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    Attribute, BinOp, Block, Expr, ExprIf, ExprMatch, ImplItemFn, Item, ItemFn, Lit, Pat, ReturnType,
    Signature, Stmt, Type, UnOp,
};

/// Every fault that the syntax of a file offers. Tests, constants and `const fn` have none: no switch can be asked there.
pub(crate) fn faults(file: &str, source: &str) -> Result<Vec<Fault>, syn::Error> {
    let mut finder = Finder { file, source, function: String::new(), faults: Vec::new() };
    finder.visit_file(&syn::parse_file(source)?);
    Ok(finder.faults)
}

struct Finder<'a> {
    file: &'a str,
    source: &'a str,
    function: String,
    faults: Vec<Fault>,
}

fn is_test(attributes: &[Attribute]) -> bool {
    let text = |attribute: &Attribute| match &attribute.meta {
        syn::Meta::List(list) => list.tokens.to_string(),
        syn::Meta::Path(_) | syn::Meta::NameValue(_) => String::new(),
    };
    attributes
        .iter()
        .any(|one| one.path().is_ident("test") || one.path().is_ident("cfg") && text(one).contains("test"))
}

impl Finder<'_> {
    fn text(&self, node: &impl Spanned) -> &str {
        self.source.get(node.span().byte_range()).unwrap_or_default()
    }

    fn add(&mut self, place: Range<usize>, shape: Shape, to: String) {
        let from = self.source.get(place.clone()).unwrap_or_default().to_owned();
        let (file, name) = (self.file.to_owned(), self.function.clone());
        self.faults.push(Fault { file, place, shape, from, to, name, sentence: String::new() });
    }

    fn expression(&mut self, node: &Expr, to: String) {
        self.add(node.span().byte_range(), Shape::Expression, to);
    }

    fn binary(&mut self, node: &Expr, binary: &syn::ExprBinary) {
        let (left, right) = (self.text(&binary.left), self.text(&binary.right));
        if let Some(operator) = other_operator(&binary.op)
            && !has_let(node)
        {
            let to = format!("{left} {operator} {right}");
            self.expression(node, to);
        }
    }

    fn literal(&mut self, node: &Expr, literal: &Lit) {
        match literal {
            Lit::Bool(value) => self.expression(node, (!value.value).to_string()),
            Lit::Int(value) => {
                if let Ok(number) = value.base10_parse::<u64>() {
                    self.expression(node, format!("{:#x}{}", number.wrapping_add(1), value.suffix()));
                }
            }
            _ => {}
        }
    }

    fn method(&mut self, node: &Expr, call: &syn::ExprMethodCall) {
        const PAIRS: [(&str, &str); 5] = [
            ("min", "max"),
            ("max", "min"),
            ("wrapping_add", "wrapping_sub"),
            ("wrapping_sub", "wrapping_add"),
            ("is_some", "is_none"),
        ];
        let name = call.method.to_string();
        if let Some((_, other)) = PAIRS.iter().find(|(one, _)| *one == name) {
            let arguments: Vec<&str> = call.args.iter().map(|one| self.text(one)).collect();
            let to = format!("{}.{other}({})", self.text(&call.receiver), arguments.join(", "));
            self.expression(node, to);
        }
    }

    /// What a function may give back without doing anything.
    fn body(&mut self, signature: &Signature, block: &Block) {
        let open = block.brace_token.span.open().byte_range().end;
        let values: &[&str] = match &signature.output {
            ReturnType::Default => &["return"],
            ReturnType::Type(_, kind) => default_values(kind),
        };
        for value in values {
            self.add(open..open, Shape::Body, format!("{value};"));
        }
    }

    fn function(
        &mut self,
        attributes: &[Attribute],
        signature: &Signature,
        block: &Block,
        go_on: impl FnOnce(&mut Self),
    ) {
        if is_test(attributes) || signature.constness.is_some() {
            return;
        }
        let outer = std::mem::replace(&mut self.function, signature.ident.to_string());
        if !block.stmts.is_empty() {
            self.body(signature, block);
        }
        go_on(self);
        self.function = outer;
    }
}

fn default_values(kind: &Type) -> &'static [&'static str] {
    let Type::Path(path) = kind else { return &[] };
    let Some(last) = path.path.segments.last() else { return &[] };
    match last.ident.to_string().as_str() {
        "bool" => &["return true", "return false"],
        "Option" => &["return None"],
        "Step" => &["return Ok(())"],
        "Result" if gives_nothing(last) => &["return Ok(())"],
        "u8" | "u16" | "u32" | "u64" | "usize" => &["return 0"],
        _ => &[],
    }
}

/// Whether a `Result` has `()` where it succeeds.
fn gives_nothing(result: &syn::PathSegment) -> bool {
    let syn::PathArguments::AngleBracketed(arguments) = &result.arguments else { return false };
    matches!(arguments.args.first(), Some(syn::GenericArgument::Type(Type::Tuple(tuple))) if tuple.elems.is_empty())
}

fn other_operator(operator: &BinOp) -> Option<&'static str> {
    Some(match operator {
        BinOp::Eq(_) => "!=",
        BinOp::Ne(_) => "==",
        BinOp::Lt(_) => "<=",
        BinOp::Le(_) => "<",
        BinOp::Gt(_) => ">=",
        BinOp::Ge(_) => ">",
        BinOp::And(_) => "||",
        BinOp::Or(_) => "&&",
        BinOp::Add(_) => "-",
        BinOp::Sub(_) => "+",
        BinOp::BitAnd(_) | BinOp::BitXor(_) => "|",
        BinOp::BitOr(_) => "&",
        BinOp::Shl(_) => ">>",
        BinOp::Shr(_) => "<<",
        _ => return None,
    })
}

fn has_let(node: &Expr) -> bool {
    match node {
        Expr::Let(_) => true,
        Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}

/// Whether a statement can be left out: it does something, and nothing after it needs its value.
fn can_go(node: &Expr) -> bool {
    match node {
        Expr::Call(_) | Expr::MethodCall(_) | Expr::Assign(_) => true,
        Expr::Binary(binary) => other_operator(&binary.op).is_none(),
        Expr::Try(inner) => can_go(&inner.expr),
        _ => false,
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_expr(&mut self, node: &'ast Expr) {
        match node {
            Expr::Binary(binary) => self.binary(node, binary),
            Expr::Unary(unary) if matches!(unary.op, UnOp::Not(_)) => {
                let to = format!("({})", self.text(&unary.expr));
                self.expression(node, to);
            }
            Expr::Lit(literal) => self.literal(node, &literal.lit),
            Expr::MethodCall(call) => self.method(node, call),
            _ => {}
        }
        visit::visit_expr(self, node);
    }

    fn visit_expr_if(&mut self, node: &'ast ExprIf) {
        if matches!(*node.cond, Expr::Call(_) | Expr::MethodCall(_) | Expr::Field(_) | Expr::Path(_)) {
            let to = format!("!({})", self.text(&node.cond));
            self.expression(&node.cond, to);
        }
        visit::visit_expr_if(self, node);
    }

    fn visit_expr_match(&mut self, node: &'ast ExprMatch) {
        let open = |pat: &Pat| matches!(pat, Pat::Wild(_));
        if node.arms.last().is_some_and(|arm| open(&arm.pat) && arm.guard.is_none()) {
            for arm in node.arms.iter().rev().skip(1) {
                if arm.guard.is_none() {
                    self.add(arm.pat.span().byte_range(), Shape::Guard, String::new());
                }
            }
        }
        visit::visit_expr_match(self, node);
    }

    fn visit_stmt(&mut self, node: &'ast Stmt) {
        if let Stmt::Expr(expression, Some(_)) = node
            && can_go(expression)
        {
            self.add(node.span().byte_range(), Shape::Statement, String::new());
        }
        visit::visit_stmt(self, node);
    }

    fn visit_item_fn(&mut self, node: &'ast ItemFn) {
        self.function(&node.attrs, &node.sig, &node.block, |finder| visit::visit_block(finder, &node.block));
    }

    fn visit_impl_item_fn(&mut self, node: &'ast ImplItemFn) {
        self.function(&node.attrs, &node.sig, &node.block, |finder| visit::visit_block(finder, &node.block));
    }

    fn visit_item(&mut self, node: &'ast Item) {
        match node {
            Item::Fn(_) | Item::Impl(_) | Item::Trait(_) => visit::visit_item(self, node),
            Item::Mod(module) if !is_test(&module.attrs) => visit::visit_item(self, node),
            _ => {}
        }
    }

    /// The length of an array is a constant.
    fn visit_expr_repeat(&mut self, node: &'ast syn::ExprRepeat) {
        self.visit_expr(&node.expr);
    }

    fn visit_impl_item_const(&mut self, _: &'ast syn::ImplItemConst) {}
    fn visit_expr_const(&mut self, _: &'ast syn::ExprConst) {}
    fn visit_pat(&mut self, _: &'ast Pat) {}
    fn visit_type(&mut self, _: &'ast Type) {}
    fn visit_attribute(&mut self, _: &'ast Attribute) {}
}

#[cfg(test)]
mod tests {
    use super::faults;

    fn edits(source: &str) -> Vec<String> {
        let found = faults("f.rs", source);
        found.iter().flatten().map(|fault| format!("{}: {}", fault.name, fault.edit())).collect()
    }

    #[test]
    fn each_kind_of_place_is_found() {
        let edits = edits(
            "fn f(a: u8) -> bool { if g() { self.x = 2; } match a { 1 => h(), _ => i() } a.min(3) == 4 && !b }",
        );
        for edit in [
            "at once return true;",
            "at once return false;",
            "g() => !(g())",
            "without self.x = 2;",
            "2 => 0x3",
            "without the arm 1",
            "a.min(3) => a.max(3)",
            "a.min(3) == 4 => a.min(3) != 4",
            "!b => (b)",
            "a.min(3) == 4 && !b => a.min(3) == 4 || !b",
        ] {
            assert!(edits.contains(&format!("f: {edit}")), "{edit}: {edits:#?}");
        }
    }

    #[test]
    fn what_no_switch_can_change_is_left_out() {
        let source = "const A: u8 = 1; const fn f() -> u8 { 2 } #[test] fn t() { g(1); } #[cfg(test)] mod tests { fn h() { g(1); } } \
                      static S: u8 = 3; enum E { A = 4 } fn p(x: [u8; 2]) { let a = [b; 2]; if let Some(1) = y && z {} }";
        assert_eq!(edits(source), ["p: at once return;"]);
    }
}
