package Torture::Content;

# Copyright (C) the nginx gray module authors
#
# What the checker compares of a document: the name of its only rule, which
# each write makes up anew and by which a revision can be told, whether it is
# enabled, the weight, who wrote it, and digests.
#
#     core   all that the document says
#     said   that without the allocation, which depends on what was before
#     rest   that without what the writers change

use strict;
use warnings;

use Digest::MD5 ();
use Exporter ();
use JSON::PP ();

our @ISA = ('Exporter');
our @EXPORT = qw(content_of);

my $json = JSON::PP->new->utf8->canonical;

# of the moment, and not of the revision; a line of a journal has its own

my @moment = qw(release revision origin declared_differs);


sub content_of {
    my ($document) = @_;

    $document = eval { $json->decode($document) } unless ref $document;

    return unless ref $document eq 'HASH';

    my %copy = %$document;
    my ($revision, $origin) = delete @copy{qw(revision origin)};

    delete @copy{@moment};

    # lists and weights that are not there are what they are by default

    my $rules = $copy{rules} || [];
    my $content = {
        revision => $revision,
        origin   => $origin,
        mark     => ref $rules->[0] ? $rules->[0]{name} : '',
        enabled  => !exists $copy{enabled} || $copy{enabled} ? 1 : 0,
        weight   => $copy{variants}{canary}{weight},
        core     => digest(\%copy),
    };

    delete $copy{allocation};
    $content->{said} = digest(\%copy);

    delete @copy{qw(rules enabled)};
    $copy{variants} = { %{ $copy{variants} || {} } };
    $copy{variants}{canary} = { %{ $copy{variants}{canary} || {} } };
    delete $copy{variants}{canary}{weight};
    $copy{rules} = [ map { my %rule = %$_; delete $rule{name}; \%rule }
                     @$rules ];
    $content->{rest} = digest(\%copy);

    return $content;
}


sub digest { return Digest::MD5::md5_hex($json->encode($_[0])) }


1;
