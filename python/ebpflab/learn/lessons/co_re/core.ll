target datalayout = "e-m:e-p:64:64-i64:64-i128:128-n32:64-S128"
target triple = "bpf"

; Questions to the kernel that loads the program, in the language of LLVM, since Rust cannot write them yet
; (rust-lang/rust#158412). build.rs hands this file to the linker, which knows the language by the line that is first.
;
; The name of each global is a question, llvm.STRUCT:0:OFFSET$0:INDEX, "where is this member?": 0 is the kind of the
; question (2 would be "is it there?"), OFFSET what stands in the object until it is loaded, INDEX which member of the
; struct is meant, as it is described below. The linker makes of it a record in the section .BTF.ext, and whoever loads
; the object looks the member up, by its name, in the types of the running kernel, and puts its offset into the
; instruction. The description need not have the other members of the struct.
@"llvm.task_struct:0:0$0:0" = external global i64, !llvm.preserve.access.index !4 #0
@"llvm.task_struct:0:8$0:1" = external global i64, !llvm.preserve.access.index !4 #0
@"llvm.task_struct:0:12$0:2" = external global i64, !llvm.preserve.access.index !4 #0
@"llvm.linux_binprm:0:0$0:0" = external global i64, !llvm.preserve.access.index !9 #0

; The functions that src/ebpf.rs calls. They are inlined: what is left of each is one number.
define i64 @task_struct_real_parent() #1 {
  %offset = load i64, ptr @"llvm.task_struct:0:0$0:0"
  ret i64 %offset
}
define i64 @task_struct_tgid() #1 {
  %offset = load i64, ptr @"llvm.task_struct:0:8$0:1"
  ret i64 %offset
}
define i64 @task_struct_pid() #1 {
  %offset = load i64, ptr @"llvm.task_struct:0:12$0:2"
  ret i64 %offset
}
define i64 @linux_binprm_filename() #1 {
  %offset = load i64, ptr @"llvm.linux_binprm:0:0$0:0"
  ret i64 %offset
}
attributes #0 = { "btf_ama" }
attributes #1 = { alwaysinline nounwind }

!llvm.dbg.cu = !{!0}
!llvm.module.flags = !{!2, !3}
!0 = distinct !DICompileUnit(language: DW_LANG_C11, file: !1, isOptimized: true, runtimeVersion: 0, emissionKind: FullDebug)
!1 = !DIFile(filename: "core.ll", directory: ".")
!2 = !{i32 7, !"Dwarf Version", i32 5}
!3 = !{i32 2, !"Debug Info Version", i32 3}

; The structs, with sizes and offsets in bits.
!4 = distinct !DICompositeType(tag: DW_TAG_structure_type, name: "task_struct", file: !1, line: 1, size: 128, elements: !5)
!5 = !{!6, !7, !8}
!6 = !DIDerivedType(tag: DW_TAG_member, name: "real_parent", file: !1, line: 1, baseType: !12, size: 64, offset: 0)
!7 = !DIDerivedType(tag: DW_TAG_member, name: "tgid", file: !1, line: 1, baseType: !13, size: 32, offset: 64)
!8 = !DIDerivedType(tag: DW_TAG_member, name: "pid", file: !1, line: 1, baseType: !13, size: 32, offset: 96)
!9 = distinct !DICompositeType(tag: DW_TAG_structure_type, name: "linux_binprm", file: !1, line: 1, size: 64, elements: !10)
!10 = !{!11}
!11 = !DIDerivedType(tag: DW_TAG_member, name: "filename", file: !1, line: 1, baseType: !12, size: 64, offset: 0)
!12 = !DIDerivedType(tag: DW_TAG_pointer_type, baseType: null, size: 64)
!13 = !DIBasicType(name: "int", size: 32, encoding: DW_ATE_signed)
