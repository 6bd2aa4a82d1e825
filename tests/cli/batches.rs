//! More than two batches of work: of files that are imported together, and of partitions that are exported together.

use crate::shell::Shell;

#[test]
fn more_files_than_are_worked_on_together() {
    const FILES: usize = 1100;
    let shell = Shell::new();
    (0..FILES).for_each(|number| shell.write(format!("files/{number:04}"), number.to_string()));
    shell.ok("deltic init file:in --layer a=generic");
    let imported = shell.ok("deltic import file:in --layer a=files");
    assert!(imported.contains("1,100 added, 0 modified, 0 deleted"), "{imported}");
    shell.ok("deltic export file:in a out");
    shell.ok("diff -r files out");
    assert_eq!(std::fs::read_dir(shell.work().join("out")).unwrap().count(), FILES);
}
