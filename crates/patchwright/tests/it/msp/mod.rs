//! Patches of Windows Installer, built and applied.

mod product;
mod wine;

use product::{Product, file};
use wine::Wine;

#[test]
fn wine_installs_our_products() {
    let folder = tempfile::TempDir::new().unwrap();
    let Some(wine) = Wine::new(&folder.path().join("prefix")) else {
        crate::skips::skip("wine", "wine64 is needed");
        return;
    };
    for packed in [false, true] {
        let mut product = Product::new(packed.into(), "1.0.0", vec![file("a.txt", "one"), file("longer name.bin", vec![7; 100])]);
        product.packed = packed;
        let msi = product.write(&folder.path().join(format!("p{packed}")));
        wine.install(&msi);
        let files = wine.folder(&product.folder());
        assert_eq!(files.len(), 2, "{files:?}");
    }
}
